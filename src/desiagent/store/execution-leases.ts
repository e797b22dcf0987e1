import { sql } from 'kysely'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { DagParams } from '../dag.ts'
import type { Execution, ExecutionStatus } from '../execution.ts'
import { type ExecutionRow, toExecution } from './executions.ts'
import { readJson } from './json.ts'

export interface Claimed {
  execution: Execution
  synthesisPlan: string
  params: DagParams
  crashCount: number
  /** True when an earlier incarnation had begun it. */
  isTakeOver: boolean
}

export interface Lease {
  owner: string
  until: string
  /** Every lease of anybody else is a dead one's. */
  isSoleProcess: boolean
}

/**
 * Takes the lease of an execution that nobody runs. A lease that its owner did not give back is a crash, and counted.
 *
 * @returns null when it has ended, waits, or is run by somebody
 */
export async function claimExecution(db: TenantDb, id: string, lease: Lease, now: string): Promise<Claimed | null> {
  const fresh = await claimIn(db, id, 'pending', lease, now)
  const row = fresh ?? (await claimIn(db, id, 'running', lease, now))
  if (!row) return null
  return {
    execution: toExecution(row),
    synthesisPlan: row.synthesis_plan,
    params: readJson<DagParams>(row.params) ?? {},
    crashCount: row.crash_count,
    isTakeOver: !fresh,
  }
}

async function claimIn(
  db: TenantDb,
  id: string,
  status: ExecutionStatus,
  lease: Lease,
  now: string,
): Promise<ExecutionRow | undefined> {
  const isFree = sql<boolean>`(lease_owner is null or lease_owner = ${lease.owner} or lease_until <= ${now} or ${lease.isSoleProcess ? 1 : 0} = 1)`
  return db
    .updateTable('executions')
    .set((eb) => ({
      lease_owner: lease.owner,
      lease_until: lease.until,
      crash_count: sql<number>`crash_count + case when lease_owner is null then 0 else 1 end`,
      status: 'running',
      started_at: eb.fn.coalesce('started_at', eb.val(now)),
      updated_at: now,
    }))
    .where('id', '=', id)
    .where('status', '=', status)
    .where(isFree)
    .returningAll()
    .executeTakeFirst()
}

/** @returns false when the lease is no longer ours */
export async function renewLease(db: TenantDb, id: string, owner: string, until: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('executions')
    .set({ lease_until: until })
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Gives the lease back without an end: somebody else goes on. */
export async function releaseLease(db: TenantDb, id: string, owner: string): Promise<void> {
  await db
    .updateTable('executions')
    .set({ lease_owner: null, lease_until: null })
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
    .execute()
}
