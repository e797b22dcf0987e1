import { sql } from 'kysely'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { DagParams } from '../dag.ts'
import type { Execution, ExecutionStatus } from '../execution.ts'
import { type ExecutionRow, toExecution } from './executions.ts'
import { readJson } from './json.ts'
import { isFree, type Lease } from './leases.ts'

export interface Claimed {
  execution: Execution
  synthesisPlan: string
  params: DagParams
  crashCount: number
  /** True when an earlier incarnation had begun it. */
  isTakeOver: boolean
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
    .where(isFree(lease, now))
    .returningAll()
    .executeTakeFirst()
}
