import type { CompiledQuery, DatabaseConnection, Driver, QueryResult } from 'kysely'
import type { OpenTransaction, SqliteBackend } from './backend.ts'
import { ConnectionLock } from './connection-lock.ts'
import { assertWithinLimits } from './limits.ts'

/** Kysely's driver over one of our back ends: one connection, handed out by a lock that times out. */
export class SqliteDriver implements Driver {
  readonly #backend: SqliteBackend
  readonly #connection: SqliteConnection
  readonly #lock: ConnectionLock
  #writes = 0
  #open: { name: string; transaction: OpenTransaction }[] = []

  constructor(backend: SqliteBackend, lockTimeoutMs: number) {
    this.#backend = backend
    this.#connection = new SqliteConnection(backend, () => {
      this.#writes += 1
    })
    this.#lock = new ConnectionLock(lockTimeoutMs)
  }

  async init(): Promise<void> {}

  /** Grows with each writing statement and each end of a transaction: while it stands still, rows are what they were. */
  get writes(): number {
    return this.#writes
  }

  /** A read without ceremony, when nobody holds the connection: it is over before anybody else can ask for it. */
  readNow(sql: string, parameters: readonly unknown[]): unknown[] | null {
    if (this.#lock.isHeld) return null
    assertWithinLimits(sql, parameters)
    return this.#backend.run(sql, parameters).rows
  }

  async acquireConnection(): Promise<DatabaseConnection> {
    const wait = this.#lock.acquire()
    if (wait) await wait
    return this.#connection
  }

  async releaseConnection(): Promise<void> {
    this.#lock.release()
  }

  async beginTransaction(): Promise<void> {
    await this.#push('')
  }

  async commitTransaction(): Promise<void> {
    await this.#popTo('', true)
  }

  async rollbackTransaction(): Promise<void> {
    await this.#popTo('', false)
  }

  async savepoint(_connection: DatabaseConnection, name: string): Promise<void> {
    await this.#push(name)
  }

  /** As in SQL, the savepoint is still there afterwards. */
  async rollbackToSavepoint(_connection: DatabaseConnection, name: string): Promise<void> {
    await this.#popTo(name, false)
    await this.#push(name)
  }

  async releaseSavepoint(_connection: DatabaseConnection, name: string): Promise<void> {
    await this.#popTo(name, true)
  }

  async destroy(): Promise<void> {
    await this.#backend.close()
  }

  async #push(name: string): Promise<void> {
    const transaction = await this.#backend.open(this.#open.length)
    this.#open.push({ name, transaction })
  }

  async #popTo(name: string, commit: boolean): Promise<void> {
    this.#writes += 1
    if (!this.#open.some((entry) => entry.name === name)) throw new Error(`no open savepoint ${name}`)
    for (;;) {
      const entry = this.#open.at(-1)
      if (!entry) return
      if (!commit) this.#open.pop()
      await entry.transaction.end(commit)
      if (commit) this.#open.pop() // only now: a commit that fails is still there to be rolled back
      if (entry.name === name) return
    }
  }
}

class SqliteConnection implements DatabaseConnection {
  readonly #backend: SqliteBackend
  readonly #onWrite: () => void

  constructor(backend: SqliteBackend, onWrite: () => void) {
    this.#backend = backend
    this.#onWrite = onWrite
  }

  async executeQuery<Row>(query: CompiledQuery): Promise<QueryResult<Row>> {
    assertWithinLimits(query.sql, query.parameters)
    const { rows, isWrite, changes, lastInsertRowid } = this.#backend.run(query.sql, query.parameters)
    if (isWrite) this.#onWrite()
    return { rows: rows as Row[], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) }
  }

  // biome-ignore lint/correctness/useYield: Kysely asks for the method; nothing of ours streams rows
  async *streamQuery<Row>(): AsyncIterableIterator<QueryResult<Row>> {
    throw new Error('Rows are paged, not streamed.')
  }
}
