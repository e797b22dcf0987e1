import type { Expression, ExpressionBuilder, Selectable } from 'kysely'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { prepared } from '#kit/db/prepared.ts'
import { foundBy } from '#kit/db/search.ts'
import type { ExecutionsTable, TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import type { DagParams } from '../dag.ts'
import type { Execution, ExecutionFilter, ExecutionStatus } from '../execution.ts'
import type { ExecutionLimits, LimitsUsed } from '../limits.ts'
import { readJson, writeJson } from './json.ts'
import { NOTHING_USED, toCost, toTokenUsage } from './usage-columns.ts'

export type ExecutionRow = Selectable<ExecutionsTable>

export interface NewExecutionRow {
  id: string
  dagId: string
  dagTitle: string
  originalRequest: string
  primaryIntent: string
  synthesisPlan: string
  params: DagParams
  totalTasks: number
  limits: ExecutionLimits | null
  /** What counts against the limits from the beginning. */
  charged: { tokens: number; costUsdMicros: number; wallMs: number }
  scheduleId: string | null
  createdBy: string | null
  createdAt: string
}

export async function insertExecution(tx: TenantDb, execution: NewExecutionRow): Promise<void> {
  await tx
    .insertInto('executions')
    .values({
      id: execution.id,
      dag_id: execution.dagId,
      dag_title: execution.dagTitle,
      original_request: execution.originalRequest,
      primary_intent: execution.primaryIntent,
      synthesis_plan: execution.synthesisPlan,
      params: JSON.stringify(execution.params),
      status: 'pending',
      total_tasks: execution.totalTasks,
      completed_tasks: 0,
      failed_tasks: 0,
      waiting_tasks: 0,
      skipped_tasks: 0,
      final_result: null,
      synthesis_result: null,
      suspended_reason: null,
      suspended_at: null,
      retry_count: 0,
      last_retry_at: null,
      last_event_seq: 0,
      lease_owner: null,
      lease_until: null,
      crash_count: 0,
      started_at: null,
      completed_at: null,
      duration_ms: null,
      pause_requested_at: null,
      schedule_id: execution.scheduleId,
      limits: writeJson(execution.limits),
      ran_ms: execution.charged.wallMs,
      charged_tokens: execution.charged.tokens,
      charged_cost_usd_micros: execution.charged.costUsdMicros,
      created_by: execution.createdBy,
      created_at: execution.createdAt,
      updated_at: execution.createdAt,
      ...NOTHING_USED,
    })
    .execute()
}

const byId = prepared<TenantTables, { id: string }, ExecutionRow>((db, { id }) =>
  db.selectFrom('executions').selectAll().where('id', '=', id),
)

export async function findExecution(db: TenantDb, id: string): Promise<Execution | null> {
  const [row] = await byId(db, { id })
  return row ? toExecution(row) : null
}

export async function findFirstExecutionOf(db: TenantDb, dagId: string): Promise<string | null> {
  const row = await db
    .selectFrom('executions')
    .select('id')
    .where('dag_id', '=', dagId)
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .executeTakeFirst()
  return row?.id ?? null
}

export async function listExecutions(
  db: TenantDb,
  filter: ExecutionFilter,
  page: PageRequest,
): Promise<Page<Execution>> {
  let query = db.selectFrom('executions').selectAll()
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.dagId !== undefined) query = query.where('dag_id', '=', filter.dagId)
  if (filter.scheduleId !== undefined) query = query.where('schedule_id', '=', filter.scheduleId)
  if (filter.createdFrom !== undefined) query = query.where('created_at', '>=', filter.createdFrom)
  if (filter.createdBefore !== undefined) query = query.where('created_at', '<', filter.createdBefore)
  if (filter.search !== undefined) query = query.where(await foundBy(db, 'dag', 'executions.dag_id', filter.search))
  const found = await fetchPage(query, page)
  return { ...found, rows: found.rows.map(toExecution) }
}

export interface ExecutionChange {
  status?: ExecutionStatus
  finalResult?: string | null
  synthesisResult?: string | null
  suspendedReason?: string | null
  suspendedAt?: string | null
  completedAt?: string | null
  durationMs?: number | null
  /** Added to the counters. */
  completed?: number
  failed?: number
  skipped?: number
  begun?: number
  /** How long it ran in all. */
  ranMs?: number
  /** Of limits: what calls used, and what had been set aside for them. */
  settled?: Settlement
  isLeaseReleased?: boolean
  isPauseTakenBack?: boolean
}

/** In tokens and micro-USD. */
export interface Settlement {
  charged: { tokens: number; costUsdMicros: number }
  released: { tokens: number; costUsdMicros: number }
}

export interface Fence {
  /** The lease owner the row must still have. */
  owner?: string
  statuses: readonly ExecutionStatus[]
  /** Somebody must still want it to pause. */
  isPausing?: boolean
}

/** What a change found. */
export interface Changed {
  /** The last number of the log it took. */
  lastSeq: number
  isPauseWanted: boolean
}

/**
 * Changes an execution and takes `events` numbers of its log, if it still is what the fence says.
 *
 * @returns null when the fence did not hold: nothing was changed then
 */
export async function changeExecution(
  tx: TenantDb,
  id: string,
  fence: Fence,
  change: ExecutionChange,
  usage: typeof NOTHING_USED,
  events: number,
  now: string,
): Promise<Changed | null> {
  const row = await tx
    .updateTable('executions')
    .set((eb) => ({ ...given(change), ...counted(eb, change, usage, events), updated_at: now }))
    .where('id', '=', id)
    .where('status', 'in', [...fence.statuses])
    .$if(fence.owner !== undefined, (query) => query.where('lease_owner', '=', fence.owner as string))
    .$if(fence.isPausing === true, (query) => query.where('pause_requested_at', 'is not', null))
    .returning(['last_event_seq', 'pause_requested_at'])
    .executeTakeFirst()
  return row ? { lastSeq: row.last_event_seq, isPauseWanted: row.pause_requested_at !== null } : null
}

function given(change: ExecutionChange) {
  return {
    ...(change.status === undefined ? {} : { status: change.status }),
    ...(change.finalResult === undefined ? {} : { final_result: change.finalResult }),
    ...(change.synthesisResult === undefined ? {} : { synthesis_result: change.synthesisResult }),
    ...(change.suspendedReason === undefined ? {} : { suspended_reason: change.suspendedReason }),
    ...(change.suspendedAt === undefined ? {} : { suspended_at: change.suspendedAt }),
    ...(change.completedAt === undefined ? {} : { completed_at: change.completedAt }),
    ...(change.durationMs === undefined ? {} : { duration_ms: change.durationMs }),
    ...(change.ranMs === undefined ? {} : { ran_ms: change.ranMs }),
    ...(change.isLeaseReleased ? { lease_owner: null, lease_until: null } : {}),
    ...(change.isPauseTakenBack ? { pause_requested_at: null } : {}),
    ...(change.completed ? { crash_count: 0 } : {}), // it gets somewhere: no execution to be wary of
  }
}

function counted(
  eb: ExpressionBuilder<TenantTables, 'executions'>,
  change: ExecutionChange,
  usage: typeof NOTHING_USED,
  events: number,
): Record<string, Expression<number>> {
  const { settled } = change
  return {
    ...(change.begun ? { steps_begun: eb('steps_begun', '+', change.begun) } : {}),
    ...(settled
      ? {
          charged_tokens: eb('charged_tokens', '+', settled.charged.tokens),
          charged_cost_usd_micros: eb('charged_cost_usd_micros', '+', settled.charged.costUsdMicros),
          reserved_tokens: eb('reserved_tokens', '-', settled.released.tokens),
          reserved_cost_usd_micros: eb('reserved_cost_usd_micros', '-', settled.released.costUsdMicros),
        }
      : {}),
    completed_tasks: eb('completed_tasks', '+', change.completed ?? 0),
    failed_tasks: eb('failed_tasks', '+', change.failed ?? 0),
    skipped_tasks: eb('skipped_tasks', '+', change.skipped ?? 0),
    prompt_tokens: eb('prompt_tokens', '+', usage.prompt_tokens),
    completion_tokens: eb('completion_tokens', '+', usage.completion_tokens),
    cached_tokens: eb('cached_tokens', '+', usage.cached_tokens),
    cost_usd_micros: eb('cost_usd_micros', '+', usage.cost_usd_micros),
    unpriced_calls: eb('unpriced_calls', '+', usage.unpriced_calls),
    last_event_seq: eb('last_event_seq', '+', events),
  }
}

/** Executions of these statuses, at most `limit`: by status in the order of the alphabet, the oldest of each first. */
export async function findByStatus(
  db: TenantDb,
  statuses: readonly ExecutionStatus[],
  limit: number,
): Promise<string[]> {
  const rows = await db
    .selectFrom('executions')
    .select('id')
    .where('status', 'in', [...statuses])
    .orderBy('status')
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/**
 * Parks those of these executions that still have one of the statuses, and takes one number of each one's log.
 *
 * @param ids  at most 80
 * @returns their ids with the number taken
 */
export async function suspendEach(
  tx: TenantDb,
  ids: readonly string[],
  statuses: readonly ExecutionStatus[],
  reason: string,
  now: string,
): Promise<{ id: string; seq: number }[]> {
  const rows = await tx
    .updateTable('executions')
    .set((eb) => ({
      status: 'suspended',
      suspended_reason: reason,
      suspended_at: now,
      lease_owner: null,
      lease_until: null,
      pause_requested_at: null,
      last_event_seq: eb('last_event_seq', '+', 1),
      updated_at: now,
    }))
    .where('id', 'in', [...ids])
    .where('status', 'in', [...statuses])
    .returning(['id', 'last_event_seq'])
    .execute()
  return rows.map((row) => ({ id: row.id, seq: row.last_event_seq }))
}

/** Deletes an execution that has ended or rests, with steps, events and artifact rows. Its ledger rows stay. */
export async function deleteExecution(
  tx: TenantDb,
  id: string,
  statuses: readonly ExecutionStatus[],
): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('executions')
    .where('id', '=', id)
    .where('status', 'in', [...statuses])
    .executeTakeFirstOrThrow()
  return numDeletedRows === 1n
}

export function toExecution(row: ExecutionRow): Execution {
  return {
    id: row.id,
    dagId: row.dag_id,
    dagTitle: row.dag_title,
    originalRequest: row.original_request,
    primaryIntent: row.primary_intent,
    status: row.status as ExecutionStatus,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    durationMs: row.duration_ms,
    totalTasks: row.total_tasks,
    completedTasks: row.completed_tasks,
    failedTasks: row.failed_tasks,
    waitingTasks: row.waiting_tasks,
    skippedTasks: row.skipped_tasks,
    finalResult: row.final_result,
    synthesisResult: row.synthesis_result,
    suspendedReason: row.suspended_reason,
    suspendedAt: row.suspended_at,
    retryCount: row.retry_count,
    lastRetryAt: row.last_retry_at,
    totalUsage: toTokenUsage(row),
    costUsdMicros: toCost(row),
    limits: readJson<ExecutionLimits>(row.limits),
    limitsUsed: row.limits === null ? null : toLimitsUsed(row),
    pauseRequestedAt: row.pause_requested_at,
    scheduleId: row.schedule_id,
    lastEventSeq: row.last_event_seq,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function toLimitsUsed(row: ExecutionRow): LimitsUsed {
  return {
    costUsdMicros: row.charged_cost_usd_micros,
    tokens: row.charged_tokens,
    steps: row.steps_begun,
    wallMs: row.ran_ms,
  }
}
