/** One SQLite database as our dialect needs it. better-sqlite3 is one back end, Durable Object storage the other. */
export interface SqliteBackend {
  run(sql: string, parameters: readonly unknown[]): SqliteResult
  /** Opens a transaction at depth 0 and a savepoint deeper. */
  open(depth: number): Promise<OpenTransaction>
  close(): Promise<void>
}

export interface SqliteResult {
  rows: unknown[]
  isWrite: boolean
  changes: number
  lastInsertRowid: number
}

export interface OpenTransaction {
  /** A commit that fails (a deferred constraint, a full disk) is followed by `end(false)`. */
  end(commit: boolean): Promise<void>
}
