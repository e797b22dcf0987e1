import { sql } from 'kysely'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Lease } from './execution-leases.ts'

/** Takes the lease of an experiment that nobody works on. @returns false when it has ended or is somebody else's */
export async function claimExperiment(
  db: TenantDb,
  id: string,
  { owner, until, isSoleProcess }: Lease,
  now: string,
): Promise<boolean> {
  const isFree = sql<boolean>`(lease_owner is null or lease_owner = ${owner} or lease_until <= ${now} or ${isSoleProcess ? 1 : 0} = 1)`
  const { numUpdatedRows } = await db
    .updateTable('experiments')
    .set({ lease_owner: owner, lease_until: until })
    .where('id', '=', id)
    .where('status', '=', 'running')
    .where(isFree)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** @returns false when the lease is no longer ours */
export async function renewLease(db: TenantDb, id: string, owner: string, until: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('experiments')
    .set({ lease_until: until })
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Gives the lease back, at an end or without one: then somebody else goes on. */
export async function releaseLease(db: TenantDb, id: string, owner: string): Promise<void> {
  await db
    .updateTable('experiments')
    .set({ lease_owner: null, lease_until: null })
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
    .execute()
}
