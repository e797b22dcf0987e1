import { setImmediate } from 'node:timers/promises'
import { FairQueue, type QueueLimits } from '#platform/node/fair-queue.ts'

export interface Job {
  tenantId: string
  id: string
}

/** Work that comes in: sub-steps that last so many ticks each, some of them at once. */
export interface Arrival {
  tenantId: string
  atTick: number
  durations: readonly number[]
  atOnce: number
}

interface Work extends Arrival {
  job: Job
  /** How many sub-steps have begun; what was interrupted does not begin again. */
  begun: number
  inFlight: number[]
  isToldToYield: boolean
  isRunning: boolean
  isOver: boolean
  resolve: () => void
}

/** What was seen, in order. */
export type Seen = { kind: 'pushed' | 'began' | 'yielded' | 'ended'; tenantId: string; id: string; tick: number }

/** Executions as the executor runs them, in ticks instead of time: between two sub-steps they ask whether to give way. */
export class World {
  readonly queue: FairQueue<Job>
  readonly seen: Seen[] = []
  readonly #limits: QueueLimits
  readonly #works = new Map<string, Work>()
  #tick = 0

  constructor(limits: QueueLimits) {
    this.#limits = limits
    this.queue = new FairQueue<Job>(limits)
    this.queue.start((job) => this.#run(job))
  }

  get tick(): number {
    return this.#tick
  }

  /** Works that have not ended yet. */
  get open(): Work[] {
    return [...this.#works.values()].filter(({ isOver }) => !isOver)
  }

  placesOf(tenantId: string): number {
    return this.open.filter((work) => work.isRunning && work.tenantId === tenantId).length
  }

  waitingOf(tenantId: string): number {
    return this.open.filter((work) => !work.isRunning && work.tenantId === tenantId).length
  }

  push(arrival: Arrival): Job {
    const job = { tenantId: arrival.tenantId, id: `${arrival.tenantId}-${this.#works.size}` }
    const state = { begun: 0, inFlight: [], isToldToYield: false, isRunning: false, isOver: false }
    this.#works.set(job.id, { ...arrival, ...state, job, resolve: () => {} })
    this.#see('pushed', job)
    this.queue.push(job)
    return job
  }

  /** Lets everything that runs go on for one tick. Places are given back one after the other, so that each is seen. */
  async pass(): Promise<void> {
    this.#tick += 1
    const running = this.open.filter(({ isRunning }) => isRunning)
    for (const work of running) if (this.#hasLeft(work)) await setImmediate()
  }

  #run(job: Job): Promise<void> {
    const work = this.#works.get(job.id) as Work
    if (work.isRunning) throw new Error(`${job.id} runs twice`)
    if (work.isOver) return Promise.resolve() // somebody was woken for nothing
    if (this.placesOf(job.tenantId) >= this.#limits.perTenant) throw new Error(`too many of ${job.tenantId}`)
    if (this.open.filter(({ isRunning }) => isRunning).length >= this.#limits.concurrency) throw new Error('too many')
    Object.assign(work, { isRunning: true, isToldToYield: false })
    this.#see('began', job)
    this.#beginSteps(work)
    return new Promise((resolve) => {
      work.resolve = resolve
    })
  }

  #beginSteps(work: Work): void {
    while (!work.isToldToYield && work.inFlight.length < work.atOnce && work.begun < work.durations.length) {
      work.inFlight.push(work.durations[work.begun] as number)
      work.begun += 1
    }
  }

  #hasLeft(work: Work): boolean {
    const before = work.inFlight.length
    work.inFlight = work.inFlight.map((left) => left - 1).filter((left) => left > 0)
    if (work.inFlight.length === before) return false
    work.isToldToYield ||= this.queue.isPlaceWanted(work.tenantId)
    this.#beginSteps(work)
    if (work.inFlight.length > 0) return false
    this.#leave(work)
    return true
  }

  #leave(work: Work): void {
    work.isRunning = false
    work.isOver = work.begun === work.durations.length
    this.#see(work.isOver ? 'ended' : 'yielded', work.job)
    if (!work.isOver) this.queue.push(work.job, { isYielded: true })
    work.resolve()
  }

  #see(kind: Seen['kind'], { tenantId, id }: Job): void {
    this.seen.push({ kind, tenantId, id, tick: this.#tick })
  }
}
