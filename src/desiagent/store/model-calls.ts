import type { Selectable } from 'kysely'
import { insertMany } from '#kit/db/insert-many.ts'
import type { ModelCallsTable, TenantDb } from '#kit/db/tenant-tables.ts'
import type { CallRecord } from '../models/call.ts'

export type CallPurpose = 'planning' | 'title' | 'sub_step' | 'synthesis'

/** A call and what it was for. */
export interface LedgerEntry extends CallRecord {
  id: string
  purpose: CallPurpose
  dagId: string | null
  executionId: string | null
  subStepId: string | null
  /** Who asked for the work; null: a service key. */
  userId: string | null
  attempt: number
}

/** Writes calls to the ledger; belongs into the transaction of the state they paid for. */
export async function insertModelCalls(tx: TenantDb, entries: readonly LedgerEntry[]): Promise<void> {
  await insertMany(
    tx,
    'model_calls',
    entries.map((entry) => ({
      id: entry.id,
      purpose: entry.purpose,
      dag_id: entry.dagId,
      execution_id: entry.executionId,
      sub_step_id: entry.subStepId,
      attempt: entry.attempt,
      provider: entry.provider,
      model: entry.model,
      prompt_tokens: entry.usage.promptTokens,
      completion_tokens: entry.usage.completionTokens,
      cached_tokens: entry.usage.cachedTokens,
      cost_usd_micros: entry.costUsdMicros,
      price_version: entry.priceVersion,
      error_code: entry.errorCode,
      duration_ms: entry.durationMs,
      agent_name: entry.agentName,
      user_id: entry.userId,
      created_at: entry.createdAt,
    })),
  )
}

export type ModelCallRow = Selectable<ModelCallsTable>

export async function listCallsOfExecution(db: TenantDb, executionId: string): Promise<ModelCallRow[]> {
  return db
    .selectFrom('model_calls')
    .selectAll()
    .where('execution_id', '=', executionId)
    .orderBy('created_at')
    .execute()
}
