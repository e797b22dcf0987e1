import type { WorkQueue } from '#ports/queue.ts'

/**
 * Does work in this process, at most `concurrency` jobs at once, first come, first served. A job that waits already is
 * not put in again: it will find the rows as they are when its turn comes.
 */
export class InProcessQueue<Job> implements WorkQueue<Job> {
  readonly #concurrency: number
  /** By what it says, in the order of coming. */
  readonly #waiting = new Map<string, Job>()
  readonly #running = new Set<Promise<void>>()
  #run: ((job: Job) => Promise<void>) | null = null

  constructor(concurrency: number) {
    this.#concurrency = concurrency
  }

  push(job: Job): void {
    this.#waiting.set(JSON.stringify(job), job)
    this.#startNext()
  }

  /** Begins to run what was pushed. `run` must not reject. */
  start(run: (job: Job) => Promise<void>): void {
    this.#run = run
    this.#startNext()
  }

  /** Starts nothing more and waits for what is running. What waits is found again through the index. */
  async stop(): Promise<void> {
    this.#run = null
    this.#waiting.clear()
    await Promise.all(this.#running)
  }

  get waitingCount(): number {
    return this.#waiting.size
  }

  #startNext(): void {
    for (const [key, job] of this.#waiting) {
      if (!this.#run || this.#running.size >= this.#concurrency) return
      this.#waiting.delete(key)
      const running = this.#run(job).finally(() => {
        this.#running.delete(running)
        this.#startNext()
      })
      this.#running.add(running)
    }
  }
}
