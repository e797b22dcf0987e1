/** The executions this process is running, and how to stop each. Its name is the owner in their leases. */
export class RunningExecutions {
  readonly owner: string
  readonly #stops = new Map<string, AbortController>()
  #isDraining = false

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

  /** From now on nothing begins, neither an execution nor a sub-step; what is in flight may finish. */
  drain(): void {
    this.#isDraining = true
  }

  get isDraining(): boolean {
    return this.#isDraining
  }

  /** Aborts all calls in flight: the process is going down, and each execution stays resumable. */
  stopAll(): void {
    this.drain()
    for (const stop of this.#stops.values()) stop.abort()
  }

  get count(): number {
    return this.#stops.size
  }
}
