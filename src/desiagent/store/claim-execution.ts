import { sql } from 'kysely'
import { prepared } from '#kit/db/prepared.ts'
import type { TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import type { DagParams } from '../dag.ts'
import type { Execution, ExecutionStatus } from '../execution.ts'
import type { Charge } from '../limits/budget.ts'
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
  /** How long it had run before. */
  ranMs: number
  stepsBegun: number
  /** What counts against its limits so far. */
  charged: Charge
}

/** With how often it is renewed, in milliseconds: so much of a dead process's time is known to nobody. */
export type RunLease = Lease & { renewedEveryMs: number }

const leaseOf = prepared<TenantTables, { id: string }, { lease_owner: string | null; crash_count: number }>(
  (db, { id }) => db.selectFrom('executions').select(['lease_owner', 'crash_count']).where('id', '=', id),
)

/** How often, with this time, the process that ran it died before it got anywhere. */
export async function countCrashes(db: TenantDb, id: string): Promise<number> {
  const [row] = await leaseOf(db, { id })
  if (!row) return 0
  return row.crash_count + (row.lease_owner === null ? 0 : 1)
}

/**
 * Takes the lease of an execution that nobody runs. A lease that its owner did not give back is a crash, and counted;
 * what calls in flight had set aside counts as used then, because they may have been answered.
 *
 * @returns null when it has ended, waits, or is run by somebody
 */
export async function claimExecution(db: TenantDb, id: string, lease: RunLease, now: string): Promise<Claimed | null> {
  const fresh = await claimIn(db, id, 'pending', lease, now)
  const row = fresh ?? (await claimIn(db, id, 'running', lease, now))
  if (!row) return null
  return {
    execution: toExecution(row),
    synthesisPlan: row.synthesis_plan,
    params: readJson<DagParams>(row.params) ?? {},
    crashCount: row.crash_count,
    isTakeOver: !fresh,
    ranMs: row.ran_ms,
    stepsBegun: row.steps_begun,
    charged: { tokens: row.charged_tokens, costUsdMicros: row.charged_cost_usd_micros },
  }
}

async function claimIn(
  db: TenantDb,
  id: string,
  status: ExecutionStatus,
  lease: RunLease,
  now: string,
): Promise<ExecutionRow | undefined> {
  return db
    .updateTable('executions')
    .set((eb) => ({
      lease_owner: lease.owner,
      lease_until: lease.until,
      crash_count: sql<number>`crash_count + case when lease_owner is null then 0 else 1 end`,
      // Of a crash nobody knows the moment; its lease was renewed at most this long before.
      ran_ms: sql<number>`ran_ms + case when lease_owner is null then 0 else ${sql.lit(lease.renewedEveryMs)} end`,
      charged_tokens: eb('charged_tokens', '+', eb.ref('reserved_tokens')),
      charged_cost_usd_micros: eb('charged_cost_usd_micros', '+', eb.ref('reserved_cost_usd_micros')),
      reserved_tokens: 0,
      reserved_cost_usd_micros: 0,
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
