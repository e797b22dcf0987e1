import { type Selectable, sql } from 'kysely'
import { insertMany } from '#kit/db/insert-many.ts'
import type { SubStepsTable, TenantDb } from '#kit/db/tenant-tables.ts'
import type { SubTask } from '../planner/decomposer-job.ts'
import type { TokenUsage } from '../usage.ts'
import { readJson } from './json.ts'
import { NOTHING_USED, toCost, toTokenUsage } from './usage-columns.ts'

export type SubStepStatus =
  | 'pending'
  | 'running'
  | 'waiting'
  | 'completed'
  | 'failed'
  | 'skipped'
  | 'cancelled'
  | 'deleted'

export interface SubStep {
  id: string
  executionId: string
  taskId: string
  wave: number
  description: string
  thought: string
  actionType: SubTask['action_type']
  toolOrPromptName: string
  toolOrPromptParams: Record<string, unknown>
  dependencies: string[]
  status: SubStepStatus
  startedAt: string | null
  completedAt: string | null
  durationMs: number | null
  result: unknown
  error: { message: string; code?: string } | null
  usage: TokenUsage
  costUsdMicros: number | null
  provider: string | null
  model: string | null
  attempt: number
  retry: number
  createdAt: string
  updatedAt: string
}

export interface NewSubStep {
  id: string
  executionId: string
  position: number
  wave: number
  task: SubTask
  createdAt: string
}

export async function insertSubSteps(tx: TenantDb, steps: readonly NewSubStep[]): Promise<void> {
  await insertMany(
    tx,
    'sub_steps',
    steps.map(({ id, executionId, position, wave, task, createdAt }) => ({
      id,
      execution_id: executionId,
      task_id: task.id,
      position,
      wave,
      description: task.description,
      thought: task.thought,
      action_type: task.action_type,
      tool_or_prompt_name: task.tool_or_prompt.name,
      tool_or_prompt_params: JSON.stringify(task.tool_or_prompt.params),
      dependencies: JSON.stringify(task.dependencies),
      status: 'pending',
      result: null,
      error: null,
      provider: null,
      model: null,
      attempt: 0,
      retry: 0,
      started_at: null,
      completed_at: null,
      duration_ms: null,
      created_at: createdAt,
      updated_at: createdAt,
      ...NOTHING_USED,
    })),
  )
}

/** In the order of the plan. At most as many as a plan may have tasks. */
export async function listSubSteps(db: TenantDb, executionId: string): Promise<SubStep[]> {
  const rows = await db
    .selectFrom('sub_steps')
    .selectAll()
    .where('execution_id', '=', executionId)
    .orderBy('position')
    .execute()
  return rows.map(toSubStep)
}

export interface StepChange {
  status?: SubStepStatus
  result?: unknown
  error?: { message: string; code?: string } | null
  provider?: string | null
  model?: string | null
  attempt?: number
  startedAt?: string | null
  completedAt?: string | null
  durationMs?: number | null
}

export async function updateSubStep(
  tx: TenantDb,
  id: string,
  change: StepChange,
  usage: typeof NOTHING_USED,
  now: string,
): Promise<void> {
  const { status, attempt, provider, model } = change
  await tx
    .updateTable('sub_steps')
    .set((eb) => ({
      updated_at: now,
      ...(status === undefined ? {} : { status }),
      ...(attempt === undefined ? {} : { attempt }),
      ...(provider === undefined ? {} : { provider }),
      ...(model === undefined ? {} : { model }),
      ...(change.result === undefined ? {} : { result: JSON.stringify(change.result) }),
      ...(change.error === undefined ? {} : { error: change.error && JSON.stringify(change.error) }),
      ...(change.startedAt === undefined ? {} : { started_at: change.startedAt }),
      ...(change.completedAt === undefined ? {} : { completed_at: change.completedAt }),
      ...(change.durationMs === undefined ? {} : { duration_ms: change.durationMs }),
      prompt_tokens: eb('prompt_tokens', '+', usage.prompt_tokens),
      completion_tokens: eb('completion_tokens', '+', usage.completion_tokens),
      cached_tokens: eb('cached_tokens', '+', usage.cached_tokens),
      cost_usd_micros: eb('cost_usd_micros', '+', usage.cost_usd_micros),
      unpriced_calls: eb('unpriced_calls', '+', usage.unpriced_calls),
    }))
    .where('id', '=', id)
    .execute()
}

const IDS_PER_STATEMENT = 90

/** Ends steps that can never run, because something they depend on failed. */
export async function skipSubSteps(tx: TenantDb, ids: readonly string[], reason: string, now: string): Promise<void> {
  const error = JSON.stringify({ message: reason, code: 'dependency_failed' })
  for (let start = 0; start < ids.length; start += IDS_PER_STATEMENT) {
    await tx
      .updateTable('sub_steps')
      .set({ status: 'skipped', error, completed_at: now, updated_at: now })
      .where('id', 'in', ids.slice(start, start + IDS_PER_STATEMENT))
      .execute()
  }
}

const UNFINISHED: SubStepStatus[] = ['pending', 'running', 'waiting']

/** Ends what has not ended, with one status for all. */
export async function endUnfinished(
  tx: TenantDb,
  executionId: string,
  status: SubStepStatus,
  now: string,
): Promise<void> {
  await tx
    .updateTable('sub_steps')
    .set({ status, completed_at: now, updated_at: now })
    .where('execution_id', '=', executionId)
    .where('status', 'in', UNFINISHED)
    .execute()
}

/** Steps that were running when their process died, or their executions were stopped, wait again. At most 90 executions. */
export async function putBackRunning(db: TenantDb, executionIds: readonly string[], now: string): Promise<void> {
  await db
    .updateTable('sub_steps')
    .set({ status: 'pending', updated_at: now })
    .where('execution_id', 'in', [...executionIds])
    .where('status', '=', 'running')
    .execute()
}

/**
 * Makes everything that has not completed pending again. What failed, or was refused, gets a new idempotency key: it is
 * retried deliberately. What was merely stopped keeps its own: nobody knows whether its call was answered.
 */
export async function reopenUnfinished(tx: TenantDb, executionId: string, now: string): Promise<void> {
  await tx
    .updateTable('sub_steps')
    .set((eb) => ({
      status: 'pending',
      error: null,
      started_at: null,
      completed_at: null,
      duration_ms: null,
      retry: eb('retry', '+', sql<number>`case when error is null then 0 else 1 end`),
      updated_at: now,
    }))
    .where('execution_id', '=', executionId)
    .where('status', '!=', 'completed')
    .execute()
}

/** Makes these steps pending again, with new idempotency keys, as if they had never been run. */
export async function reopenSteps(tx: TenantDb, ids: readonly string[], now: string): Promise<void> {
  for (let start = 0; start < ids.length; start += IDS_PER_STATEMENT) {
    await tx
      .updateTable('sub_steps')
      .set((eb) => ({
        status: 'pending',
        result: null,
        error: null,
        started_at: null,
        completed_at: null,
        duration_ms: null,
        retry: eb('retry', '+', 1),
        updated_at: now,
      }))
      .where('id', 'in', ids.slice(start, start + IDS_PER_STATEMENT))
      .execute()
  }
}

function toSubStep(row: Selectable<SubStepsTable>): SubStep {
  return {
    id: row.id,
    executionId: row.execution_id,
    taskId: row.task_id,
    wave: row.wave,
    description: row.description,
    thought: row.thought,
    actionType: row.action_type as SubStep['actionType'],
    toolOrPromptName: row.tool_or_prompt_name,
    toolOrPromptParams: readJson<Record<string, unknown>>(row.tool_or_prompt_params) ?? {},
    dependencies: readJson<string[]>(row.dependencies) ?? [],
    status: row.status as SubStepStatus,
    startedAt: row.started_at,
    completedAt: row.completed_at,
    durationMs: row.duration_ms,
    result: readJson(row.result),
    error: readJson<SubStep['error']>(row.error),
    usage: toTokenUsage(row),
    costUsdMicros: toCost(row),
    provider: row.provider,
    model: row.model,
    attempt: row.attempt,
    retry: row.retry,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
