import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { isFree, type Lease } from './leases.ts'

/** Takes the lease of an experiment that nobody works on. @returns false when it has ended or is somebody else's */
export async function claimExperiment(db: TenantDb, id: string, lease: Lease, now: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('experiments')
    .set({ lease_owner: lease.owner, lease_until: lease.until })
    .where('id', '=', id)
    .where('status', '=', 'running')
    .where(isFree(lease, now))
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}
