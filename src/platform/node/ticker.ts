import type { Clock } from '#kit/time.ts'
import type { Log } from '#ports/log.ts'

export interface TickerParts {
  /** Ends early when it is told to stop. */
  work: () => Promise<unknown>
  everyMs: number
  now: Clock
  log: Log
}

/** Does the same piece of work again and again, never twice at once, and does not keep the process alive for it. */
export class Ticker {
  readonly #parts: TickerParts
  #timer: ReturnType<typeof setInterval> | undefined
  #running: Promise<void> | null = null
  #next: Promise<void> | null = null
  #lastTickAtMs: number | null = null

  constructor(parts: TickerParts) {
    this.#parts = parts
  }

  start(): void {
    this.#timer = setInterval(() => {
      if (!this.#running) void this.tick()
    }, this.#parts.everyMs).unref()
  }

  /**
   * Does the work once more, from beginning to end: what is under way may have looked too early. Those who ask meanwhile
   * share it. Never rejects.
   */
  tick(): Promise<void> {
    if (!this.#running) return this.#begin()
    this.#next ??= this.#running.then(() => {
      this.#next = null
      return this.#begin()
    })
    return this.#next
  }

  /** Begins no more, and resolves when what is under way has ended. */
  async stop(): Promise<void> {
    clearInterval(this.#timer)
    await this.#next
    await this.#running
  }

  /** When the work was last done, epoch milliseconds; null when never yet. A failure does not count. */
  get lastTickAtMs(): number | null {
    return this.#lastTickAtMs
  }

  #begin(): Promise<void> {
    this.#running = this.#work().finally(() => {
      this.#running = null
    })
    return this.#running
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
