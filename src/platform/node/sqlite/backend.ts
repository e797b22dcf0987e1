import Database from 'better-sqlite3'
import type { OpenTransaction, SqliteBackend, SqliteResult } from '#kit/db/sqlite/backend.ts'

export type Synchronous = 'OFF' | 'NORMAL' | 'FULL'

const BUSY_TIMEOUT_MS = 5_000
const KEPT_STATEMENTS = 300

/** A SQLite file (or `:memory:`) as a back end of our dialect. Keeps prepared statements: preparing is most of a query's cost. */
export function betterSqliteBackend(
  file: string,
  synchronous: Synchronous,
): SqliteBackend & { raw: Database.Database } {
  const raw = new Database(file, { timeout: BUSY_TIMEOUT_MS })
  raw.pragma('journal_mode = WAL')
  raw.pragma(`synchronous = ${synchronous}`)
  raw.pragma('foreign_keys = ON')
  const prepare = statementCache(raw)

  return {
    raw,
    run: (sql, parameters) => run(prepare(sql), parameters),
    open: async (depth) => open(raw, depth),
    close: async () => {
      raw.close()
    },
  }
}

/** A prepared statement; what it is is asked once, because each answer is a call into native code. */
interface Prepared {
  statement: Database.Statement
  isReader: boolean
  isReadonly: boolean
}

function run({ statement, isReader, isReadonly }: Prepared, parameters: readonly unknown[]): SqliteResult {
  if (!isReader) {
    const { changes, lastInsertRowid } = statement.run(...parameters)
    return { rows: [], isWrite: !isReadonly, changes, lastInsertRowid: Number(lastInsertRowid) }
  }
  const rows = statement.all(...parameters)
  const changes = isReadonly ? 0 : rows.length // a statement with RETURNING answers each row it changed
  return { rows, isWrite: !isReadonly, changes, lastInsertRowid: 0 }
}

function open(raw: Database.Database, depth: number): OpenTransaction {
  const savepoint = `depth_${depth}`
  raw.exec(depth === 0 ? 'begin immediate' : `savepoint ${savepoint}`)
  return {
    end: async (commit) => {
      if (depth > 0) raw.exec(commit ? `release ${savepoint}` : `rollback to ${savepoint}; release ${savepoint}`)
      else if (commit) raw.exec('commit')
      // Some errors (a full disk) make SQLite roll back by itself; a second rollback would hide the first error.
      else if (raw.inTransaction) raw.exec('rollback')
    },
  }
}

function statementCache(raw: Database.Database): (sql: string) => Prepared {
  const statements = new Map<string, Prepared>()
  return (sql) => {
    const known = statements.get(sql)
    if (known) return known
    if (statements.size >= KEPT_STATEMENTS) {
      const [oldest] = statements.keys()
      statements.delete(oldest as string)
    }
    const statement = raw.prepare(sql)
    const prepared = { statement, isReader: statement.reader, isReadonly: statement.readonly }
    statements.set(sql, prepared)
    return prepared
  }
}
