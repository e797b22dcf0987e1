import { sql, type Updateable } from 'kysely'
import type { ExecutionsTable, TenantDb } from '#kit/db/tenant-tables.ts'
import type { ExecutionStatus } from '../execution.ts'
import type { ExecutionLimits } from '../limits.ts'
import { writeJson } from './json.ts'

/** How resting executions are let go on. Each takes one number of the log, and answers null when it did not apply. */

/** The counters of an execution's steps. */
export interface StepCounts {
  completed: number
  failed: number
  skipped: number
}

/**
 * Clears how it ended and counts a deliberate retry. Belongs with `reopenUnfinished` or `reopenSteps`.
 *
 * @param limits  undefined: as they were
 */
export async function reopenExecution(
  tx: TenantDb,
  id: string,
  statuses: readonly ExecutionStatus[],
  limits: ExecutionLimits | null | undefined,
  events: number,
  now: string,
): Promise<number | null> {
  const row = await tx
    .updateTable('executions')
    .set((eb) => ({
      status: 'pending',
      final_result: null,
      synthesis_result: null,
      suspended_reason: null,
      suspended_at: null,
      completed_at: null,
      duration_ms: null,
      crash_count: 0,
      pause_requested_at: null,
      ...(limits === undefined ? {} : { limits: writeJson(limits) }),
      retry_count: eb('retry_count', '+', 1),
      last_retry_at: now,
      last_event_seq: eb('last_event_seq', '+', events),
      updated_at: now,
    }))
    .where('id', '=', id)
    .where('status', 'in', [...statuses])
    .returning('last_event_seq')
    .executeTakeFirst()
  return row?.last_event_seq ?? null
}

/** Lets a paused one wait for its turn: that is no retry. */
export function reopenPaused(
  tx: TenantDb,
  id: string,
  limits: ExecutionLimits | null | undefined,
  now: string,
): Promise<number | null> {
  const given = limits === undefined ? {} : { limits: writeJson(limits) }
  return changeOf(tx, id, ['paused'], { status: 'pending', ...given }, now)
}

/** Lets one that is about to pause run on; it may have given its place to another tenant meanwhile. */
export function takeBackPause(tx: TenantDb, id: string, now: string): Promise<number | null> {
  return changeOf(tx, id, ['pending', 'running'], { pause_requested_at: null }, now, 'is not')
}

/** Asks one that runs to pause when its sub-steps in flight have ended. */
export function requestPause(tx: TenantDb, id: string, now: string): Promise<number | null> {
  return changeOf(tx, id, ['running'], { pause_requested_at: now }, now, 'is')
}

/** @param pauseRequest  `is` null, or `is not`: whether somebody has asked for a pause already */
async function changeOf(
  tx: TenantDb,
  id: string,
  statuses: readonly ExecutionStatus[],
  change: Updateable<ExecutionsTable>,
  now: string,
  pauseRequest?: 'is' | 'is not',
): Promise<number | null> {
  const row = await tx
    .updateTable('executions')
    .set((eb) => ({ ...change, last_event_seq: eb('last_event_seq', '+', 1), updated_at: now }))
    .where('id', '=', id)
    .where('status', 'in', [...statuses])
    .$if(pauseRequest !== undefined, (query) => query.where('pause_requested_at', pauseRequest as 'is', null))
    .returning('last_event_seq')
    .executeTakeFirst()
  return row?.last_event_seq ?? null
}

/** Counts the steps again. Belongs into the transaction that reopened some of them. */
export async function recountSteps(tx: TenantDb, id: string): Promise<void> {
  const count = (status: string) =>
    sql<number>`(select count(*) from ${sql.table('sub_steps')} where execution_id = ${id} and status = ${status})`
  await tx
    .updateTable('executions')
    .set({ completed_tasks: count('completed'), failed_tasks: count('failed'), skipped_tasks: count('skipped') })
    .where('id', '=', id)
    .execute()
}
