import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { TenantDetails } from './contract.ts'

/** What a tenant's own database tells of its size and use; how many bytes it takes up, only its platform can tell. */
export interface StoredFigures {
  figures: Omit<TenantDetails['figures'], 'databaseSizeBytes'>
  migration: TenantDetails['migration']
}

/** Of a tenant whose database is gone: its purge stopped half-way. */
export const NO_FIGURES: StoredFigures = {
  figures: { users: 0, agents: 0, executionsThisMonth: 0, tokensThisMonth: 0, runningExecutions: 0 },
  migration: { current: null, isUpToDate: false },
}

const TOKENS = ['prompt_tokens', 'cached_tokens', 'completion_tokens']

/**
 * Counts what is there now.
 *
 * @param period           the month that counts, `YYYY-MM`
 * @param newestMigration  the name of the last one we have
 */
export async function readFigures(db: TenantDb, period: string, newestMigration: string): Promise<StoredFigures> {
  const used = await usedIn(db, period)
  const current = await lastMigration(db)
  return {
    figures: {
      users: await countUsers(db),
      agents: await countAgents(db),
      executionsThisMonth: used.get('executions') ?? 0,
      tokensThisMonth: TOKENS.reduce((sum, resource) => sum + (used.get(resource) ?? 0), 0),
      runningExecutions: await countRunning(db),
    },
    migration: { current, isUpToDate: current === newestMigration },
  }
}

async function usedIn(db: TenantDb, period: string): Promise<Map<string, number>> {
  const rows = await db
    .selectFrom('usage_totals')
    .select((eb) => ['resource_type', eb.fn.sum<number>('quantity').as('quantity')])
    .where('period', '=', period)
    .where('resource_type', 'in', ['executions', ...TOKENS])
    .groupBy('resource_type')
    .execute()
  return new Map(rows.map((row) => [row.resource_type, Number(row.quantity)]))
}

async function countUsers(db: TenantDb): Promise<number> {
  const { count } = await db
    .selectFrom('users')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('status', 'in', ['invited', 'active'])
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function countAgents(db: TenantDb): Promise<number> {
  const { count } = await db
    .selectFrom('agents')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Those that have begun and neither ended nor been suspended. */
async function countRunning(db: TenantDb): Promise<number> {
  const { count } = await db
    .selectFrom('executions')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('status', 'in', ['pending', 'running', 'waiting', 'paused'])
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** Names of migrations begin with their number. */
async function lastMigration(db: TenantDb): Promise<string | null> {
  const row = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .orderBy('name', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.name ?? null
}
