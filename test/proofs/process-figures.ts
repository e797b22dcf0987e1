import { readFileSync } from 'node:fs'

/** Of Linux, in all but exotic builds: what `getconf CLK_TCK` says. */
const TICKS_PER_SECOND = 100

/** The processor time a process has taken so far, its own and the kernel's for it. */
export function cpuMsOf(pid: number): number {
  // Behind the name, which may have spaces and ends with the last bracket, utime and stime are the 12th and 13th field.
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
  return ((Number(fields[11]) + Number(fields[12])) * 1000) / TICKS_PER_SECOND
}

/** The most memory it has ever held. */
export function peakMegabytesOf(pid: number): number {
  const [, kilobytes] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
  return Math.round(Number(kilobytes) / 1024)
}
