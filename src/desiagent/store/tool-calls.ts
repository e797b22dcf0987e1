import { insertMany } from '#kit/db/insert-many.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'

/** A call of a tool, with exactly what it was called with. */
export interface ToolCall {
  id: string
  executionId: string
  subStepId: string
  attempt: number
  toolName: string
  /** JSON. */
  arguments: string
  idempotencyKey: string
  /** Null: it gave a result. */
  errorCode: string | null
  durationMs: number
  createdAt: string
}

/** Belongs into the transaction of what came of them. */
export async function insertToolCalls(tx: TenantDb, calls: readonly ToolCall[]): Promise<void> {
  await insertMany(
    tx,
    'tool_calls',
    calls.map((call) => ({
      id: call.id,
      execution_id: call.executionId,
      sub_step_id: call.subStepId,
      attempt: call.attempt,
      tool_name: call.toolName,
      arguments: call.arguments,
      idempotency_key: call.idempotencyKey,
      error_code: call.errorCode,
      duration_ms: call.durationMs,
      created_at: call.createdAt,
    })),
  )
}

/** What the tool of each sub-step was last called with, by the sub-step's id. */
export async function listLastArguments(
  db: TenantDb,
  executionId: string,
): Promise<ReadonlyMap<string, Record<string, unknown>>> {
  const rows = await db
    .selectFrom('tool_calls as call')
    .select(['call.sub_step_id', 'call.arguments'])
    .where('call.execution_id', '=', executionId)
    // They may be large, and there may be many: only the newest of each is read.
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('tool_calls as later')
            .select('later.id')
            .whereRef('later.execution_id', '=', 'call.execution_id')
            .whereRef('later.sub_step_id', '=', 'call.sub_step_id')
            .where(({ eb, and, or, ref }) =>
              or([
                eb('later.attempt', '>', ref('call.attempt')),
                and([eb('later.attempt', '=', ref('call.attempt')), eb('later.id', '>', ref('call.id'))]),
              ]),
            ),
        ),
      ),
    )
    .execute()
  return new Map(rows.map((row) => [row.sub_step_id, JSON.parse(row.arguments) as Record<string, unknown>]))
}
