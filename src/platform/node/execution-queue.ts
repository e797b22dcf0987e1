import type { ExecutionJob, ExecutionQueue } from '#ports/queue.ts'

/** Runs executions in this process, at most `concurrency` at once, first come, first served. */
export class InProcessQueue implements ExecutionQueue {
  readonly #concurrency: number
  readonly #waiting: ExecutionJob[] = []
  readonly #running = new Set<Promise<void>>()
  #run: ((job: ExecutionJob) => Promise<void>) | null = null

  constructor(concurrency: number) {
    this.#concurrency = concurrency
  }

  push(job: ExecutionJob): void {
    this.#waiting.push(job)
    this.#startNext()
  }

  /** Begins to run what was pushed. `run` must not reject. */
  start(run: (job: ExecutionJob) => Promise<void>): void {
    this.#run = run
    this.#startNext()
  }

  /** Starts nothing more and waits for what is running. What waits is found again through the index. */
  async stop(): Promise<void> {
    this.#run = null
    this.#waiting.length = 0
    await Promise.all(this.#running)
  }

  get waitingCount(): number {
    return this.#waiting.length
  }

  #startNext(): void {
    while (this.#run && this.#running.size < this.#concurrency) {
      const job = this.#waiting.shift()
      if (!job) return
      const running = this.#run(job).finally(() => {
        this.#running.delete(running)
        this.#startNext()
      })
      this.#running.add(running)
    }
  }
}
