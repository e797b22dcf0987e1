import { CompiledQuery, type Kysely } from 'kysely'

/** What a database offers that one process alone writes through one connection. */
export interface DirectReads {
  /** Reads at once, or answers null when the connection is taken (by a transaction) and the query has to wait its turn. */
  readNow(sql: string, parameters: readonly unknown[]): unknown[] | null
  /** Grows with each write of this process. */
  readonly writes: number
}

const DIRECT_READS = new WeakMap<object, DirectReads>()

/**
 * Lets prepared reads of this database skip Kysely's executor, whose promises cost more than a read by key. Only for
 * the database itself: a transaction is another object, and goes the ordinary way.
 */
export function readDirectly(db: object, reads: DirectReads): void {
  DIRECT_READS.set(db, reads)
}

interface Compilable {
  compile(): CompiledQuery
}

type Slots<P> = { readonly [K in keyof P]: P[K] }

/**
 * A query that is built once per database and afterwards only bound: building costs more than running a read by id.
 * `build` gets a stand-in for each parameter and must not look at its value.
 */
export function prepared<Tables, P extends Record<string, string | number>, Row>(
  build: (db: Kysely<Tables>, parameters: Slots<P>) => Compilable,
): (db: Kysely<Tables>, parameters: P) => Promise<Row[]> {
  const compiled = new WeakMap<object, { sql: string; bind: (parameters: P) => readonly unknown[] }>()

  return async (db, parameters) => {
    let query = compiled.get(db)
    if (!query) {
      query = compile(db)
      compiled.set(db, query)
    }
    const values = query.bind(parameters)
    const read = DIRECT_READS.get(db)?.readNow(query.sql, values)
    if (read) return read as Row[]
    const { rows } = await db.executeQuery<Row>(CompiledQuery.raw(query.sql, [...values]))
    return rows
  }

  function compile(db: Kysely<Tables>) {
    const slots = new Proxy({}, { get: (_, name) => ({ slot: name }) }) as Slots<P>
    const { sql, parameters } = build(db, slots).compile()
    const bind = (values: P) =>
      parameters.map((parameter) => (isSlot(parameter) ? values[parameter.slot as keyof P] : parameter))
    return { sql, bind }
  }
}

function isSlot(parameter: unknown): parameter is { slot: string } {
  return typeof parameter === 'object' && parameter !== null && 'slot' in parameter
}

const REMEMBERED_ROWS = 10_000

/**
 * Remembers what a prepared read of one row by a key answered, for at most `forMs` and only while this process writes
 * nothing to that database: its own writes count at once, another process's when the time is over. A database that
 * cannot tell about writes is asked each time.
 */
export function remembered<Tables, Row>(
  query: (db: Kysely<Tables>, key: string) => Promise<Row | null>,
  forMs: number,
): (db: Kysely<Tables>, key: string) => Promise<Row | null> {
  const known = new WeakMap<object, Map<string, { row: Row; writes: number; until: number }>>()

  return async (db, key) => {
    const reads = DIRECT_READS.get(db)
    if (!reads) return query(db, key)
    const rows = known.get(db) ?? new Map()
    const found = rows.get(key)
    if (found && found.writes === reads.writes && performance.now() < found.until) return found.row

    const { writes } = reads // before the query: a write while it waits must not be missed
    const row = await query(db, key)
    if (rows.size >= REMEMBERED_ROWS) rows.clear()
    if (row) known.set(db, rows.set(key, { row, writes, until: performance.now() + forMs }))
    return row
  }
}
