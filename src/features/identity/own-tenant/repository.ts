import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { limitsOfRow } from '../tenants/plans.ts'
import { getTenantRecord } from '../tenants/repository.ts'
import type { OwnTenant } from './contract.ts'

/** The tenant as its own database knows it. */
export async function getOwnTenant(db: TenantDb): Promise<OwnTenant> {
  const row = await getTenantRecord(db)
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    status: row.status as OwnTenant['status'],
    plan: row.plan as OwnTenant['plan'],
    quotas: limitsOfRow(row.plan, row.quotas),
    maxApiKeyAgeDays: row.max_api_key_age_days,
    updatedAt: row.updated_at,
  }
}

/** How many days a new key may last at most; null: for ever. */
export async function getMaxApiKeyAge(db: TenantDb): Promise<number | null> {
  const { max_api_key_age_days } = await getTenantRecord(db)
  return max_api_key_age_days
}

export async function setMaxApiKeyAge(db: TenantDb, days: number | null, now: string): Promise<void> {
  await db.updateTable('tenant').set({ max_api_key_age_days: days, updated_at: now }).execute()
}
