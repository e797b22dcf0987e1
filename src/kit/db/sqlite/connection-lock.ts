/**
 * Hands one connection to one caller after the other, and gives up waiting after `timeoutMs`. Kysely's own lock for
 * single connections waits for ever: the outer `db` used inside its own transaction would hang the tenant.
 */
export class ConnectionLock {
  readonly #timeoutMs: number
  #held = false
  #queue: Waiter[] = []

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  get isHeld(): boolean {
    return this.#held
  }

  acquire(): Promise<void> | undefined {
    if (!this.#held) {
      this.#held = true
      return undefined
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = { resolve, timer: undefined }
      waiter.timer = setTimeout(() => {
        this.#queue = this.#queue.filter((other) => other !== waiter)
        reject(new DatabaseBusy(this.#timeoutMs))
      }, this.#timeoutMs)
      this.#queue.push(waiter)
    })
  }

  release(): void {
    const next = this.#queue.shift()
    if (!next) {
      this.#held = false
      return
    }
    clearTimeout(next.timer)
    next.resolve()
  }
}

interface Waiter {
  resolve: () => void
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Nobody released the connection in time: most likely the outer database is used inside its own transaction. */
export class DatabaseBusy extends Error {
  constructor(timeoutMs: number) {
    super(`The database connection was not free within ${timeoutMs} ms. Inside a transaction, use the transaction.`)
    this.name = 'DatabaseBusy'
  }
}
