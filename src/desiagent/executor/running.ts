/** The executions this process is running, and how to stop each. Its name is the owner in their leases. */
export class RunningExecutions {
  readonly owner: string
  /** Ids of due work that is being done here: it may come up all the same, when this process has stood still for a while. */
  readonly inHand = new Set<string>()
  readonly #stops = new Map<string, AbortController>()
  readonly #plannings = new Map<AbortController, Promise<unknown>>()
  readonly #suspects = new Turnstile()
  #isDraining = false
  #isStopped = false

  /** @param owner  unique to this incarnation of the process */
  constructor(owner: string) {
    this.owner = owner
  }

  /** Claims the right to run it in this process; null when it is running here already or the process is stopping. */
  begin(executionId: string): AbortController | null {
    if (this.#isDraining || this.#stops.has(executionId)) return null
    const stop = new AbortController()
    this.#stops.set(executionId, stop)
    return stop
  }

  end(executionId: string): void {
    this.#stops.delete(executionId)
  }

  /** Aborts its calls in flight, if it runs here. */
  stop(executionId: string): void {
    this.#stops.get(executionId)?.abort()
  }

  /**
   * One after the other: when the process dies, the execution it died of is known. Each has its turn until it has got
   * somewhere; then the next one does, of another tenant if there is one.
   */
  async alone(tenantId: string, work: (onProgress: () => void) => Promise<void>): Promise<void> {
    await this.#suspects.enter(tenantId)
    let isOver = false
    const leave = () => {
      if (!isOver) this.#suspects.leave()
      isOver = true
    }
    await work(leave).finally(leave)
  }

  /** Plans a goal in this process; the signal aborts when the process goes down. */
  async plan<T>(work: (stop: AbortSignal) => Promise<T>): Promise<T> {
    const stop = new AbortController()
    if (this.#isStopped) stop.abort() // what began between two steps of a longer planning
    const planning = work(stop.signal)
    this.#plannings.set(stop, planning)
    try {
      return await planning
    } finally {
      this.#plannings.delete(stop)
    }
  }

  /** Resolves when no goal is being planned any more. */
  async plannings(): Promise<void> {
    while (this.#plannings.size > 0) await Promise.allSettled(this.#plannings.values())
  }

  /** From now on nothing begins, neither an execution nor a sub-step; what is in flight may finish. */
  drain(): void {
    this.#isDraining = true
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Aborts all calls in flight: the process is going down. Executions stay resumable, planning is marked as interrupted. */
  stopAll(): void {
    this.drain()
    this.#isStopped = true
    for (const stop of [...this.#stops.values(), ...this.#plannings.keys()]) stop.abort()
  }

  get count(): number {
    return this.#stops.size
  }
}

/** Lets one in at a time; of those who wait the first of another tenant than the last one's, else the first. */
class Turnstile {
  readonly #waiting: { tenantId: string; letIn: () => void }[] = []
  #isTaken = false
  #lastTenantId = ''

  async enter(tenantId: string): Promise<void> {
    if (this.#isTaken) {
      const turn = Promise.withResolvers<void>()
      this.#waiting.push({ tenantId, letIn: turn.resolve })
      await turn.promise
    }
    this.#isTaken = true
    this.#lastTenantId = tenantId
  }

  leave(): void {
    const ofOther = this.#waiting.findIndex(({ tenantId }) => tenantId !== this.#lastTenantId)
    const [next] = this.#waiting.splice(Math.max(0, ofOther), 1)
    if (next) next.letIn()
    else this.#isTaken = false
  }
}
