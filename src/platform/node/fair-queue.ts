import type { Turns, WorkQueue } from '#ports/queue.ts'
import { QueueLine } from './queue-line.ts'

export interface QueueLimits {
  /** Jobs that run at once. */
  concurrency: number
  /** Of these, jobs of one tenant. */
  perTenant: number
}

/**
 * Does work in this process and shares its places among the tenants that wait. A place that becomes free goes to the
 * tenant with the fewest, of these to the one that was not served for longest; a tenant's own jobs come first, served
 * first. So nobody waits for ever, and who has no place gets the next one.
 */
export class FairQueue<Job extends { tenantId: string }> implements WorkQueue<Job>, Turns {
  readonly #limits: QueueLimits
  readonly #lines = new Map<string, QueueLine<Job>>()
  readonly #runs = new Set<Promise<void>>()
  #run: ((job: Job) => Promise<void>) | null = null
  #placesTaken = 0
  #turn = 0
  #doneCount = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
  }

  push(job: Job, { isYielded } = { isYielded: false }): void {
    const { tenantId } = job
    const line = this.#lines.get(tenantId) ?? new QueueLine<Job>(tenantId, this.#nextTurn())
    this.#lines.set(tenantId, line)
    line.put(JSON.stringify(job), job, isYielded)
    this.#startReady()
  }

  /** Begins to run what was pushed. `run` must not reject. */
  start(run: (job: Job) => Promise<void>): void {
    this.#run = run
    this.#startReady()
  }

  /** Starts nothing more and waits for what is running. What waits is found again through the index. */
  async stop(): Promise<void> {
    this.#run = null
    for (const line of this.#lines.values()) line.clear()
    await Promise.all(this.#runs)
  }

  /** Resolves when nothing runs any more, and so nothing waits. */
  async settled(): Promise<void> {
    while (this.#runs.size > 0) await Promise.all(this.#runs)
  }

  /** Jobs that were run since it was made. */
  get doneCount(): number {
    return this.#doneCount
  }

  get waitingCount(): number {
    let count = 0
    for (const line of this.#lines.values()) count += line.waitingCount
    return count
  }

  isPlaceWanted(tenantId: string): boolean {
    const asked = this.#lines.get(tenantId)
    if (!asked || !this.#run || this.#placesTaken < this.#limits.concurrency) return false
    const kept = asked.places - asked.promised
    if (kept < 1) return true // it has been told so for each of its places
    let [wanted, promised] = [0, 0]
    for (const line of this.#lines.values()) {
      promised += line.promised
      wanted += this.#wantedBy(line, kept)
    }
    if (wanted <= promised) return false
    asked.promise()
    return true
  }

  /** What it may take from a tenant that keeps `kept` places: until both have equally many, and one in any case. */
  #wantedBy(line: QueueLine<Job>, kept: number): number {
    const fair = kept - 1 - line.places
    const least = line.places === 0 ? 1 : 0
    return Math.min(line.readyCount, Math.max(fair, least))
  }

  #startReady(): void {
    while (this.#run && this.#placesTaken < this.#limits.concurrency) {
      const next = this.#nextInTurn()
      const begun = next?.begin()
      if (!next || !begun) return
      this.#placesTaken += 1 // before it runs: what it does at once may look for a free place
      this.#follow(next, begun.key, this.#run(begun.job))
    }
  }

  #follow(line: QueueLine<Job>, key: string, running: Promise<void>): void {
    const run = running.finally(() => {
      this.#runs.delete(run)
      this.#placesTaken -= 1
      this.#doneCount += 1
      line.end(key, this.#nextTurn())
      if (line.isEmpty) this.#lines.delete(line.tenantId)
      this.#startReady()
    })
    this.#runs.add(run)
  }

  /** The tenant that gets the next place; undefined when nobody may have one. */
  #nextInTurn(): QueueLine<Job> | undefined {
    let next: QueueLine<Job> | undefined
    for (const line of this.#lines.values()) {
      if (line.readyCount === 0 || line.places >= this.#limits.perTenant) continue
      if (!next || isBefore(line, next)) next = line
    }
    return next
  }

  #nextTurn(): number {
    this.#turn += 1
    return this.#turn
  }
}

function isBefore(one: QueueLine<unknown>, other: QueueLine<unknown>): boolean {
  if (one.places !== other.places) return one.places < other.places
  return one.waitingSince < other.waitingSince
}
