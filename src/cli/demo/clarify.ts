import { createInterface } from 'node:readline/promises'

/** Asks on the terminal. @returns null when nobody answers (Ctrl-D), or when there is no terminal to ask on */
export async function askOnTerminal(signal: AbortSignal): Promise<string | null> {
  if (!process.stdin.isTTY || !process.stdout.isTTY) return null
  const terminal = createInterface({ input: process.stdin, output: process.stdout })
  const closed = new AbortController()
  // While readline reads, the terminal is in raw mode: Ctrl-C comes to it and is no signal any more.
  terminal.once('SIGINT', () => process.kill(process.pid, 'SIGINT'))
  terminal.once('close', () => closed.abort())
  try {
    let answer = ''
    while (answer === '') {
      answer = (await terminal.question('  Your answer: ', { signal: AbortSignal.any([signal, closed.signal]) })).trim()
    }
    return answer
  } catch (error) {
    if (signal.aborted || !closed.signal.aborted) throw error
    return null
  } finally {
    terminal.close()
  }
}
