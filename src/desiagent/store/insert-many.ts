import type { Insertable } from 'kysely'
import type { TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'

const MAX_PARAMETERS = 100

/** Inserts rows in as few statements as the limit of 100 parameters allows. */
export async function insertMany<T extends keyof TenantTables & string>(
  db: TenantDb,
  table: T,
  rows: readonly Insertable<TenantTables[T]>[],
): Promise<void> {
  const [first] = rows
  if (!first) return
  const perStatement = Math.floor(MAX_PARAMETERS / Object.keys(first).length)
  for (let start = 0; start < rows.length; start += perStatement) {
    await db
      .insertInto(table)
      .values(rows.slice(start, start + perStatement) as never)
      .execute()
  }
}
