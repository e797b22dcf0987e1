import type { Clock } from '#kit/time.ts'
import type { Log } from '#ports/log.ts'

export interface TickerParts {
  /** Ends early when it is told to stop. */
  work: () => Promise<void>
  everyMs: number
  now: Clock
  log: Log
}

/** Does the same piece of work again and again, never twice at once, and does not keep the process alive for it. */
export class Ticker {
  readonly #parts: TickerParts
  #timer: ReturnType<typeof setInterval> | undefined
  #running: Promise<void> | null = null
  #lastTickAtMs: number | null = null

  constructor(parts: TickerParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = setInterval(() => void this.tick(), this.#parts.everyMs).unref()
  }

  /** Does the work now, or joins whoever is at it. Never rejects. */
  tick(): Promise<void> {
    this.#running ??= this.#work().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  /** Begins no more, and resolves when what is under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#running
  }

  /** When the work was last done, epoch milliseconds; null when never yet. A failure does not count. */
  get lastTickAtMs(): number | null {
    return this.#lastTickAtMs
  }

  async #work(): Promise<void> {
    const { work, now, log } = this.#parts
    try {
      await work()
      this.#lastTickAtMs = now().getTime()
    } catch (error) {
      log.error({ err: error }, 'what is due could not be looked for')
    }
  }
}
