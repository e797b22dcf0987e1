import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { TenantDetails } from './contract.ts'

/** What a tenant's own database tells of its size and use; how many bytes it takes up, only its platform can tell. */
export interface StoredFigures {
  figures: Omit<TenantDetails['figures'], 'databaseSizeBytes'>
  migration: TenantDetails['migration']
}

/** Of a tenant whose database is gone: its purge stopped half-way. */
export const NO_FIGURES: StoredFigures = {
  figures: { users: 0, agents: 0, executionsThisMonth: 0, tokensThisMonth: 0, activeExecutions: 0 },
  migration: { current: null, isUpToDate: false },
}

/** The last migration that ran on this database. @param newest  the name of the last one we have */
export async function readMigration(db: TenantDb, newest: string): Promise<StoredFigures['migration']> {
  const row = await db
    .withTables<{ kysely_migration: { name: string } }>()
    .selectFrom('kysely_migration')
    .select('name')
    .orderBy('name', 'desc') // names of migrations begin with their number
    .limit(1)
    .executeTakeFirst()
  const current = row?.name ?? null
  return { current, isUpToDate: current === newest }
}
