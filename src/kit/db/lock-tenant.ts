import type { Selectable } from 'kysely'
import type { TenantDb, TenantTable } from './tenant-tables.ts'

/**
 * Makes every other transaction that asks for the same wait for the end of this one, on each of our databases: what is
 * counted under the lock still holds when the row it allows is written.
 *
 * @param tx  a transaction; its first statement, so that two never wait for each other crosswise
 * @returns the tenant's one row
 */
export async function lockTenant(tx: TenantDb): Promise<Selectable<TenantTable>> {
  return tx
    .updateTable('tenant')
    .set((eb) => ({ updated_at: eb.ref('updated_at') }))
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** The same for who needs nothing of that row, and where there may be none: desiAgent can be embedded by itself. */
export async function lockWholeTenant(tx: TenantDb): Promise<void> {
  await tx
    .updateTable('tenant')
    .set((eb) => ({ updated_at: eb.ref('updated_at') }))
    .execute()
}
