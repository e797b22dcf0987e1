/** The executions this process is running, and how to stop each. Its name is the owner in their leases. */
export class RunningExecutions {
  readonly owner: string
  readonly #stops = new Map<string, AbortController>()
  #isStopping = false

  /** @param owner  unique to this incarnation of the process */
  constructor(owner: string) {
    this.owner = owner
  }

  /** Claims the right to run it in this process; null when it is running here already or the process is stopping. */
  begin(executionId: string): AbortController | null {
    if (this.#isStopping || this.#stops.has(executionId)) return null
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

  /** Aborts all and lets none begin: the process is going down, and each stays resumable. */
  stopAll(): void {
    this.#isStopping = true
    for (const stop of this.#stops.values()) stop.abort()
  }

  get count(): number {
    return this.#stops.size
  }
}
