import { CompiledQuery, type Insertable } from 'kysely'
import { compiledOnce } from './compiled-once.ts'
import type { TenantDb, TenantTables } from './tenant-tables.ts'

const MAX_PARAMETERS = 100

/** Inserts rows, which all name the same columns, in as few statements as the limit of 100 parameters allows. */
export async function insertMany<T extends keyof TenantTables & string>(
  db: TenantDb,
  table: T,
  rows: readonly Insertable<TenantTables[T]>[],
): Promise<void> {
  const [first] = rows
  if (!first) return
  const columns = Object.keys(first)
  const perStatement = Math.floor(MAX_PARAMETERS / columns.length)
  for (let start = 0; start < rows.length; start += perStatement) {
    await insertOnce(db, table, columns, rows.slice(start, start + perStatement))
  }
}

/** What is inserted again and again is built once: building it costs more than running it. */
async function insertOnce<T extends keyof TenantTables & string>(
  db: TenantDb,
  table: T,
  columns: readonly string[],
  rows: readonly Insertable<TenantTables[T]>[],
): Promise<void> {
  const name = `insert ${table} ${rows.length} ${columns.join()}`
  const sql = compiledOnce(db, name, () => db.insertInto(table).values(rows as never))
  const parameters = rows.flatMap((row) => columns.map((column) => (row as Record<string, unknown>)[column]))
  await db.executeQuery(CompiledQuery.raw(sql, parameters))
}
