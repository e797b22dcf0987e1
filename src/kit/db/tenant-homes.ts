import { type Databases, NoTenantDatabase } from './databases.ts'
import type { TenantDb } from './tenant-tables.ts'

/** A tenant's open database, held open until `release` is called. */
export interface PinnedHome {
  readonly db: TenantDb
  release(): void
  /** Holds it open once more, for what outlives the request; returns the release. */
  hold(): () => void
}

interface Home {
  readonly opening: Promise<TenantDb | null>
  pins: number
  /** Tells who wants to remove it that nobody works with it any more. */
  onIdle: (() => void) | null
}

/** A removal waits so long for those who work with a database; whoever still does then finds it closed. */
const REMOVAL_WAIT_MS = 10_000

/**
 * The open tenant databases: the least recently used one nobody has pinned is closed when there are more than
 * `capacity`. Whoever works with a tenant pins it, so it is never closed under anybody's hands.
 */
export class TenantHomes {
  readonly #databases: Databases
  readonly #capacity: number
  readonly #homes = new Map<string, Home>()
  readonly #closing = new Map<string, Promise<void>>()
  readonly #removing = new Map<string, Promise<void>>()
  readonly #removalWaitMs: number

  constructor(databases: Databases, capacity: number, removalWaitMs = REMOVAL_WAIT_MS) {
    this.#databases = databases
    this.#capacity = capacity
    this.#removalWaitMs = removalWaitMs
  }

  /** Opens (or finds open) the tenant's database; null when there is none, or it is being removed. */
  async pin(tenantId: string): Promise<PinnedHome | null> {
    if (this.#removing.has(tenantId)) return null
    const home = this.#homes.get(tenantId) ?? { opening: this.#open(tenantId), pins: 0, onIdle: null }
    this.#homes.delete(tenantId)
    this.#homes.set(tenantId, home) // last in the map: most recently used
    home.pins += 1
    const db = await home.opening.catch((error: unknown) => {
      this.#forget(tenantId, home)
      throw error
    })
    if (!db) {
      this.#forget(tenantId, home)
      return null
    }
    if (this.#homes.size > this.#capacity) await this.#closeIdle()
    const unpin = () =>
      once(() => {
        home.pins -= 1
        if (home.pins === 0) home.onIdle?.()
        // After a burst nobody may pin again for long, so the last to let go closes what is too many.
        if (home.pins === 0 && this.#homes.size > this.#capacity) void this.#close(tenantId)
      })
    return {
      db,
      release: unpin(),
      hold: () => {
        home.pins += 1
        return unpin()
      },
    }
  }

  /** Runs `work` with the tenant's database open. @throws NoTenantDatabase */
  async use<T>(tenantId: string, work: (db: TenantDb) => Promise<T>): Promise<T> {
    const home = await this.pin(tenantId)
    if (!home) throw new NoTenantDatabase()
    try {
      return await work(home.db)
    } finally {
      home.release()
    }
  }

  async create(tenantId: string): Promise<void> {
    await this.#databases.createTenant(tenantId)
  }

  /**
   * Deletes the tenant's database for good. From now on nobody gets in; those who are in have ten seconds to leave,
   * then it is closed under their hands. Removing what is not there succeeds.
   */
  remove(tenantId: string): Promise<void> {
    const removing =
      this.#removing.get(tenantId) ?? this.#remove(tenantId).finally(() => this.#removing.delete(tenantId))
    this.#removing.set(tenantId, removing)
    return removing
  }

  /** What it takes up, in bytes; 0 when there is none. */
  sizeOf(tenantId: string): Promise<number> {
    return this.#databases.sizeOfTenant(tenantId)
  }

  async close(): Promise<void> {
    for (const tenantId of [...this.#homes.keys()]) await this.#close(tenantId)
    await Promise.all(this.#closing.values())
  }

  get openCount(): number {
    return this.#homes.size
  }

  async #remove(tenantId: string): Promise<void> {
    await this.#untilIdle(tenantId)
    await this.#close(tenantId)
    await this.#databases.deleteTenant(tenantId)
  }

  async #untilIdle(tenantId: string): Promise<void> {
    const home = this.#homes.get(tenantId)
    if (!home || home.pins === 0) return
    const idle = Promise.withResolvers<void>()
    home.onIdle = idle.resolve
    const timer = setTimeout(idle.resolve, this.#removalWaitMs)
    await idle.promise
    clearTimeout(timer)
  }

  async #closeIdle(): Promise<void> {
    for (const [tenantId, home] of this.#homes) {
      if (this.#homes.size <= this.#capacity) return
      if (home.pins === 0) await this.#close(tenantId)
    }
  }

  /** Waits for a closing of the same database that is under way: two connections at once would share its locks. */
  async #open(tenantId: string): Promise<TenantDb | null> {
    await this.#closing.get(tenantId)
    return this.#databases.openTenant(tenantId)
  }

  /** Only if it is still the one: by now another may have been opened. */
  #forget(tenantId: string, home: Home): void {
    if (this.#homes.get(tenantId) === home) this.#homes.delete(tenantId)
    home.onIdle?.()
  }

  /** Never rejects: a database that cannot be closed is nothing its user could do anything about. */
  #close(tenantId: string): Promise<void> {
    const home = this.#homes.get(tenantId)
    if (!home) return this.#closing.get(tenantId) ?? Promise.resolve()
    this.#homes.delete(tenantId)
    const closing = home.opening
      .then((db) => db?.destroy())
      .catch(() => {})
      .finally(() => {
        if (this.#closing.get(tenantId) === closing) this.#closing.delete(tenantId)
      })
    this.#closing.set(tenantId, closing)
    return closing
  }
}

function once(action: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    action()
  }
}
