const EXIT_CODES = { SIGINT: 130, SIGTERM: 143 } as const
/** What a process that SIGPIPE ends leaves behind: `npm run demo | head` needs no stack. */
const BROKEN_PIPE_EXIT_CODE = 141

export interface Interruption {
  /** Aborts when somebody wants the demo to stop. */
  signal: AbortSignal
  /** What to exit with when that came too early. */
  exitCode: number
}

/** Listens for Ctrl-C, SIGTERM and a reader that has left. A second Ctrl-C ends the process at once. */
export function listenForInterruption(): Interruption {
  const controller = new AbortController()
  const interruption = { signal: controller.signal, exitCode: 1 }
  const stop = (exitCode: number) => {
    if (controller.signal.aborted) return
    interruption.exitCode = exitCode
    controller.abort()
  }
  process.once('SIGINT', () => stop(EXIT_CODES.SIGINT))
  process.once('SIGTERM', () => stop(EXIT_CODES.SIGTERM))
  process.stdout.on('error', () => stop(BROKEN_PIPE_EXIT_CODE))
  return interruption
}
