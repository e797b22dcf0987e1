import Database from 'better-sqlite3'
import type { Client } from './client.ts'
import type { TestApi } from './start-api.ts'

type Tenant = Client & { tenantId: string }

/** A row of a tenant's ledger, as it lies in its file. */
export interface LedgerRow {
  id: string
  purpose: string
  dag_id: string | null
  execution_id: string | null
  sub_step_id: string | null
  provider: string
  model: string
  prompt_tokens: number
  completion_tokens: number
  cached_tokens: number
  cost_usd_micros: number | null
  price_version: string
  agent_name: string | null
  user_id: string | null
  created_at: string
}

/** What rows of the ledger add up to, in the words of the API. */
export function sumOfRows(rows: readonly LedgerRow[]) {
  const total = (value: (row: LedgerRow) => number) => rows.reduce((sum, row) => sum + value(row), 0)
  const promptTokens = total((row) => row.prompt_tokens)
  const completionTokens = total((row) => row.completion_tokens)
  const cachedTokens = total((row) => row.cached_tokens)
  const knownCostUsdMicros = total((row) => row.cost_usd_micros ?? 0)
  const unpricedCalls = rows.filter((row) => row.cost_usd_micros === null).length
  return {
    calls: rows.length,
    usage: { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens, cachedTokens },
    costUsdMicros: unpricedCalls > 0 ? null : knownCostUsdMicros,
    knownCostUsdMicros,
    unpricedCalls,
  }
}

export interface Spent {
  usage: Record<string, number>
  costUsdMicros: number | null
}

export function spentOf({ usage, costUsdMicros }: Spent): Spent {
  return { usage, costUsdMicros }
}

/** What parts of an answer add up to; null as soon as one is not known. */
export function addedSpent(parts: readonly Spent[]): Spent {
  const total = (key: string) => parts.reduce((sum, { usage }) => sum + (usage[key] ?? 0), 0)
  const isKnown = parts.every(({ costUsdMicros }) => costUsdMicros !== null)
  const usage = Object.fromEntries(
    ['promptTokens', 'completionTokens', 'totalTokens', 'cachedTokens'].map((key) => [key, total(key)]),
  )
  return {
    usage,
    costUsdMicros: isKnown ? parts.reduce((sum, { costUsdMicros }) => sum + (costUsdMicros ?? 0), 0) : null,
  }
}

export function added(
  groups: readonly (Spent & { calls: number; knownCostUsdMicros: number; unpricedCalls: number })[],
) {
  const total = (key: 'calls' | 'knownCostUsdMicros' | 'unpricedCalls') =>
    groups.reduce((sum, group) => sum + group[key], 0)
  return {
    ...addedSpent(groups),
    calls: total('calls'),
    knownCostUsdMicros: total('knownCostUsdMicros'),
    unpricedCalls: total('unpricedCalls'),
  }
}

export function readLedger(api: TestApi, tenant: Tenant): LedgerRow[] {
  return withDatabase(api, tenant, (db) => db.prepare('select * from model_calls').all() as LedgerRow[])
}

/** Calls that nobody made: for sums over more of them than a test could make. */
export function insertCalls(api: TestApi, tenant: Tenant, rows: readonly Partial<LedgerRow>[]): void {
  withDatabase(api, tenant, (db) => {
    const insert = db.prepare(`
      insert into model_calls (id, purpose, attempt, provider, model, prompt_tokens, completion_tokens, cached_tokens,
        cost_usd_micros, price_version, agent_name, user_id, duration_ms, created_at)
      values (@id, 'planning', 1, 'openai', @model, 10, 5, 2, @cost_usd_micros, 'v1', @agent_name, @user_id, 1, @created_at)`)
    const defaults = { model: 'gpt-5-mini', cost_usd_micros: 1, agent_name: null, user_id: null }
    db.transaction(() => {
      for (const row of rows) insert.run({ id: crypto.randomUUID(), ...defaults, ...row })
    })()
  })
}

/** A second user with a key of its own. */
export async function anotherUser(api: TestApi, tenant: Tenant): Promise<Client & { userId: string }> {
  const { body } = await tenant.post('/auth/api-keys', { name: 'theirs', scopes: ['read', 'write', 'execute'] })
  const userId = crypto.randomUUID()
  withDatabase(api, tenant, (db) => {
    const at = new Date().toISOString()
    db.prepare(
      `insert into users (id, email, name, role, status, created_at, updated_at) values (?, ?, 'x', 'member', 'active', ?, ?)`,
    ).run(userId, `${userId}@users.test`, at, at)
    db.prepare('update api_keys set user_id = ? where id = ?').run(userId, body.id)
  })
  return Object.assign(api.client(body.key), { userId })
}

function withDatabase<T>(api: TestApi, tenant: Tenant, work: (db: Database.Database) => T): T {
  const db = new Database(`${api.dataDir}/tenants/${tenant.tenantId}/agent.db`)
  try {
    return work(db)
  } finally {
    db.close()
  }
}
