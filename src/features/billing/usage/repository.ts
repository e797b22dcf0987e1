import { CompiledQuery, type Selectable } from 'kysely'
import { compiledOnce } from '#kit/db/compiled-once.ts'
import { insertMany } from '#kit/db/insert-many.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { prepared } from '#kit/db/prepared.ts'
import type { TenantDb, TenantTables, UsageRecordsTable } from '#kit/db/tenant-tables.ts'
import type { ResourceType, UsageRecord } from './contract.ts'
import type { UsageLine } from './lines.ts'

export type UsageRow = Selectable<UsageRecordsTable>

/** Belongs into the transaction of the state it was used for. */
export async function insertUsage(
  tx: TenantDb,
  lines: readonly UsageLine[],
  at: string,
  newId: () => string,
): Promise<void> {
  await insertMany(
    tx,
    'usage_records',
    lines.map((line) => ({
      id: newId(),
      resource_type: line.resourceType,
      quantity: line.quantity,
      unit_cost: line.unitCost,
      price_version: line.priceVersion,
      cost_usd_micros: line.costUsdMicros,
      provider: line.provider,
      model: line.model,
      agent_name: line.agentName,
      user_id: line.userId,
      dag_id: line.dagId,
      execution_id: line.executionId,
      sub_step_id: line.subStepId,
      created_at: at,
    })),
  )
}

/** How much of a resource was used in a month at one price. */
export interface UsageTotal {
  resourceType: ResourceType
  provider: string | null
  model: string | null
  quantity: number
  /** Pico-USD per unit; null: there is no price. */
  unitCost: number | null
}

const NO_PRICE = -1
const TOTALS_PER_STATEMENT = 16 // of 6 columns, below 100 parameters

/** Adds to the month's totals. The lines of one total are added up first: a statement must not meet the same row twice. */
export async function addToTotals(tx: TenantDb, lines: readonly UsageLine[], period: string): Promise<void> {
  const totals = addedUp(lines)
  for (let start = 0; start < totals.length; start += TOTALS_PER_STATEMENT) {
    const some = totals.slice(start, start + TOTALS_PER_STATEMENT).map((total) => ({ period, ...total }))
    const sql = compiledOnce(tx, `add ${some.length} totals`, () => addition(tx, some))
    await tx.executeQuery(
      CompiledQuery.raw(
        sql,
        some.flatMap((total) => Object.values(total)),
      ),
    )
  }
}

function addition(tx: TenantDb, totals: readonly Selectable<TenantTables['usage_totals']>[]) {
  return tx
    .insertInto('usage_totals')
    .values(totals)
    .onConflict((conflict) =>
      conflict
        .columns(['period', 'resource_type', 'provider', 'model', 'unit_cost'])
        .doUpdateSet((eb) => ({ quantity: eb('usage_totals.quantity', '+', eb.ref('excluded.quantity')) })),
    )
}

type TotalRow = Omit<Selectable<TenantTables['usage_totals']>, 'period'>

/** In one order for everybody, so that two transactions never wait for each other crosswise. */
function addedUp(lines: readonly UsageLine[]): TotalRow[] {
  const totals = new Map<string, TotalRow>()
  for (const { resourceType, provider, model, unitCost, quantity } of lines) {
    const key = {
      resource_type: resourceType,
      provider: provider ?? '',
      model: model ?? '',
      unit_cost: unitCost ?? NO_PRICE,
    }
    const name = JSON.stringify(Object.values(key))
    const total = totals.get(name)
    if (total) total.quantity += quantity
    else totals.set(name, { ...key, quantity })
  }
  if (totals.size === 1) return [...totals.values()]
  return [...totals].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, total]) => total)
}

/** What was used in a month (`YYYY-MM`). */
export async function listTotals(db: TenantDb, period: string): Promise<UsageTotal[]> {
  const found = await db
    .selectFrom('usage_totals')
    .selectAll()
    .where('period', '=', period)
    .orderBy('resource_type')
    .orderBy('provider')
    .orderBy('model')
    .orderBy('unit_cost')
    .execute()
  return found.map((row) => ({
    resourceType: row.resource_type as ResourceType,
    provider: row.provider === '' ? null : row.provider,
    model: row.model === '' ? null : row.model,
    quantity: row.quantity,
    unitCost: row.unit_cost === NO_PRICE ? null : row.unit_cost,
  }))
}

/** What `maxTokensPerMonth` counts. */
export const TOKENS: readonly ResourceType[] = ['prompt_tokens', 'cached_tokens', 'completion_tokens']

const executionsOf = sumOf(['executions'])
const tokensOf = sumOf(TOKENS)

function sumOf(resources: readonly ResourceType[]) {
  return prepared<TenantTables, { period: string }, { used: number | null }>((db, { period }) =>
    db
      .selectFrom('usage_totals')
      .select((eb) => eb.fn.sum<number | null>('quantity').as('used'))
      .where('period', '=', period)
      .where('resource_type', 'in', resources),
  )
}

/** Executions begun in a month, deleted ones included. */
export async function sumExecutions(db: TenantDb, period: string): Promise<number> {
  const [row] = await executionsOf(db, { period })
  return Number(row?.used ?? 0)
}

/** Tokens in and out in a month. */
export async function sumTokens(db: TenantDb, period: string): Promise<number> {
  const [row] = await tokensOf(db, { period })
  return Number(row?.used ?? 0)
}

/** Versions of agents. */
export async function countAgents(db: TenantDb): Promise<number> {
  const { agents } = await db
    .selectFrom('agents')
    .select((eb) => eb.fn.countAll<number>().as('agents'))
    .executeTakeFirstOrThrow()
  return Number(agents)
}

/** Executions that have begun and neither ended nor been suspended. */
export async function countActiveExecutions(db: TenantDb): Promise<number> {
  const { active } = await db
    .selectFrom('executions')
    .select((eb) => eb.fn.countAll<number>().as('active'))
    .where('status', 'in', ['pending', 'running', 'waiting', 'paused'])
    .executeTakeFirstOrThrow()
  return Number(active)
}

export interface UsageFilter {
  /** ISO 8601; inclusive. */
  from: string | undefined
  /** ISO 8601; exclusive. */
  before: string | undefined
  resourceType: ResourceType | undefined
  model: string | undefined
  executionId: string | undefined
  dagId: string | undefined
}

export async function listUsage(db: TenantDb, filter: UsageFilter, page: PageRequest): Promise<Page<UsageRow>> {
  const { from, before, resourceType, model, executionId, dagId } = filter
  let query = db.selectFrom('usage_records').selectAll()
  if (from !== undefined) query = query.where('created_at', '>=', from)
  if (before !== undefined) query = query.where('created_at', '<', before)
  if (resourceType !== undefined) query = query.where('resource_type', '=', resourceType)
  if (model !== undefined) query = query.where('model', '=', model)
  if (executionId !== undefined) query = query.where('execution_id', '=', executionId)
  if (dagId !== undefined) query = query.where('dag_id', '=', dagId)
  return fetchPage(query, page)
}

export function toUsageRecord(row: UsageRow, tenantId: string): UsageRecord {
  return {
    id: row.id,
    tenantId,
    resourceType: row.resource_type as ResourceType,
    quantity: row.quantity,
    unitCost: row.unit_cost,
    costUsdMicros: row.cost_usd_micros,
    metadata: {
      provider: row.provider,
      model: row.model,
      agentName: row.agent_name,
      userId: row.user_id,
      dagId: row.dag_id,
      executionId: row.execution_id,
      subStepId: row.sub_step_id,
      priceVersion: row.price_version,
    },
    timestamp: row.created_at,
  }
}
