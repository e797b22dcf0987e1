import { type RawBuilder, sql } from 'kysely'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { CallSum } from '../costs/spent.ts'

/** The ledger, added up by the database. */

/** ISO 8601 with milliseconds, as rows hold them. */
export interface CallRange {
  /** Inclusive. */
  from: string
  /** Exclusive. */
  before: string
}

export type CallGrouping = 'day' | 'month' | 'model' | 'agent' | 'user'

export interface CallGroup extends CallSum {
  key: string | null
}

const KEYS: Record<CallGrouping, RawBuilder<string | null>> = {
  day: sql`substr(created_at, 1, 10)`,
  month: sql`substr(created_at, 1, 7)`,
  model: sql`provider || '/' || model`,
  agent: sql`agent_name`,
  user: sql`user_id`,
}

const SUMS = [
  sql<number>`count(*)`.as('calls'),
  sql<number | null>`sum(prompt_tokens)`.as('prompt'),
  sql<number | null>`sum(completion_tokens)`.as('completion'),
  sql<number | null>`sum(cached_tokens)`.as('cached'),
  sql<number | null>`sum(cost_usd_micros)`.as('known_cost'),
  sql<number>`count(*) - count(cost_usd_micros)`.as('unpriced'),
] as const

interface SumRow {
  calls: number
  prompt: number | null
  completion: number | null
  cached: number | null
  known_cost: number | null
  unpriced: number
}

export async function sumCallsBetween(db: TenantDb, range: CallRange): Promise<CallSum> {
  return toSum(await callsBetween(db, range).select(SUMS).executeTakeFirstOrThrow())
}

/** @returns the dearest first; at most `limit` when it is given */
export async function sumCallsByGroup(
  db: TenantDb,
  range: CallRange,
  grouping: CallGrouping,
  limit?: number,
): Promise<CallGroup[]> {
  const key = KEYS[grouping]
  const rows = await callsBetween(db, range)
    .select([key.as('group_key'), ...SUMS])
    .groupBy(key)
    .orderBy(sql`coalesce(sum(cost_usd_micros), 0)`, 'desc')
    .orderBy(key, (order) => order.asc().nullsLast())
    .$if(limit !== undefined, (query) => query.limit(limit as number))
    .execute()
  return rows.map((row) => ({ key: row.group_key, ...toSum(row) }))
}

function callsBetween(db: TenantDb, { from, before }: CallRange) {
  return db.selectFrom('model_calls').where('created_at', '>=', from).where('created_at', '<', before)
}

export interface DagCallSum extends CallSum {
  purpose: string
  provider: string
  model: string
  priceVersion: string
}

export async function sumCallsOfDag(db: TenantDb, dagId: string): Promise<DagCallSum[]> {
  const rows = await db
    .selectFrom('model_calls')
    .select(['purpose', 'provider', 'model', 'price_version', ...SUMS])
    .where('dag_id', '=', dagId)
    .groupBy(['purpose', 'provider', 'model', 'price_version'])
    .orderBy('provider')
    .orderBy('model')
    .execute()
  return rows.map((row) => ({
    purpose: row.purpose,
    provider: row.provider,
    model: row.model,
    priceVersion: row.price_version,
    ...toSum(row),
  }))
}

/** How many deleted executions of a DAG the ledger still knows: those that had called a model. */
export async function countForgottenExecutions(db: TenantDb, dagId: string): Promise<number> {
  const { total } = await db
    .selectFrom('model_calls')
    .select(sql<number>`count(distinct execution_id)`.as('total'))
    .where('dag_id', '=', dagId)
    .where('execution_id', 'is not', null)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('executions').select('id').whereRef('executions.id', '=', 'model_calls.execution_id'))),
    )
    .executeTakeFirstOrThrow()
  return Number(total)
}

/** PostgreSQL adds up to a type that its driver hands over as text. */
function toSum(row: SumRow): CallSum {
  const promptTokens = Number(row.prompt)
  const completionTokens = Number(row.completion)
  return {
    calls: Number(row.calls),
    usage: {
      promptTokens,
      completionTokens,
      totalTokens: promptTokens + completionTokens,
      cachedTokens: Number(row.cached),
    },
    knownCostUsdMicros: Number(row.known_cost),
    unpricedCalls: Number(row.unpriced),
  }
}
