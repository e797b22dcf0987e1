import { CompiledQuery, type Kysely } from 'kysely'

/** Reads at once, or answers null when the connection is taken (by a transaction) and the query has to wait its turn. */
export type DirectRead = (sql: string, parameters: readonly unknown[]) => unknown[] | null

const DIRECT_READS = new WeakMap<object, DirectRead>()

/**
 * Lets prepared reads of this database skip Kysely's executor, whose promises cost more than a read by key. Only for
 * the database itself: a transaction is another object, and goes the ordinary way.
 */
export function readDirectly(db: object, read: DirectRead): void {
  DIRECT_READS.set(db, read)
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
    const read = DIRECT_READS.get(db)?.(query.sql, values)
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
