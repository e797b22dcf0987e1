import { type Kysely, type RawBuilder, sql } from 'kysely'
import type { TenantDb } from '#kit/db/tenant-tables.ts'

/** Who works on a row, and until when nobody else may. */
export interface Lease {
  owner: string
  until: string
  /** Every lease of anybody else is a dead one's. */
  isSoleProcess: boolean
}

/** What is worked on under a lease. */
type Leased = 'executions' | 'experiments' | 'schedule_occurrences'

/** True for rows that nobody alive works on. */
export function isFree({ owner, isSoleProcess }: Lease, now: string): RawBuilder<boolean> {
  return sql<boolean>`(lease_owner is null or lease_owner = ${owner} or lease_until <= ${now} or ${isSoleProcess ? 1 : 0} = 1)`
}

/** @returns false when the lease is no longer ours */
export async function renewLease(
  db: TenantDb,
  table: Leased,
  id: string,
  owner: string,
  until: string,
): Promise<boolean> {
  const { numUpdatedRows } = await ofOwner(db, table, id, owner).set({ lease_until: until }).executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Gives the lease back, at an end or without one: then somebody else goes on. */
export async function releaseLease(db: TenantDb, table: Leased, id: string, owner: string): Promise<void> {
  await ofOwner(db, table, id, owner).set({ lease_owner: null, lease_until: null }).execute()
}

/** All of these tables have these columns; the builder's types cannot take one of several. */
function ofOwner(db: TenantDb, table: Leased, id: string, owner: string) {
  return (
    db as unknown as Kysely<Record<Leased, { id: string; lease_owner: string | null; lease_until: string | null }>>
  )
    .updateTable(table as 'executions')
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
}
