/** The jobs of one tenant: those that wait for a place, and those that have one. */
export class QueueLine<Job> {
  readonly tenantId: string
  readonly #yielded = new Map<string, Job>()
  readonly #waiting = new Map<string, Job>()
  readonly #running = new Set<string>()
  #promised = 0
  #waitingSince: number

  /** @param turn  a number that grows: who comes now is behind all who wait already */
  constructor(tenantId: string, turn: number) {
    this.tenantId = tenantId
    this.#waitingSince = turn
  }

  put(key: string, job: Job, isYielded: boolean): void {
    if (isYielded) this.#waiting.delete(key)
    else if (this.#yielded.has(key)) return
    const jobs = isYielded ? this.#yielded : this.#waiting
    jobs.set(key, job)
  }

  /** Gives a place to the job whose turn it is; null when there is none. */
  begin(): { key: string; job: Job } | null {
    for (const jobs of [this.#yielded, this.#waiting]) {
      for (const [key, job] of jobs) {
        if (this.#running.has(key)) continue
        jobs.delete(key)
        this.#running.add(key)
        return { key, job }
      }
    }
    return null
  }

  end(key: string, turn: number): void {
    this.#running.delete(key)
    this.#promised = Math.max(0, this.#promised - 1)
    this.#waitingSince = turn
  }

  promise(): void {
    this.#promised += 1
  }

  clear(): void {
    this.#yielded.clear()
    this.#waiting.clear()
  }

  get places(): number {
    return this.#running.size
  }

  /** Places it has said it will give back. */
  get promised(): number {
    return this.#promised
  }

  /** When it came or last gave a place back: it was served until then. */
  get waitingSince(): number {
    return this.#waitingSince
  }

  get waitingCount(): number {
    return this.#yielded.size + this.#waiting.size
  }

  /** Jobs that could begin: one that is still running cannot begin again. */
  get readyCount(): number {
    let count = this.waitingCount
    for (const key of this.#running) if (this.#yielded.has(key) || this.#waiting.has(key)) count -= 1
    return count
  }

  get isEmpty(): boolean {
    return this.places === 0 && this.waitingCount === 0
  }
}
