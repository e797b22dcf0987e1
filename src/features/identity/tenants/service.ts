import type { Selectable } from 'kysely'
import { periodOf } from '#kit/billing-period.ts'
import type { ControlContext } from '#kit/context.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb, TenantTable } from '#kit/db/tenant-tables.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { TenantLimits } from '#kit/quotas.ts'
import type { ListTenantsQuery, Tenant, TenantDetails } from './contract.ts'
import { NO_FIGURES, type StoredFigures } from './figures.ts'
import { limitsOfRow } from './plans.ts'
import * as rows from './repository.ts'
import { findSettled } from './service/change-tenant.ts'

export { finishChange, resumeTenant, suspendTenant, updateTenant } from './service/change-tenant.ts'
export { createTenant, rotateAdminKey, showNewTenant } from './service/create-tenant.ts'
export { deleteTenant } from './service/delete-tenant.ts'

/** All tenants that fit, newest first, those that are being created included. */
export function listTenants(ctx: ControlContext, query: ListTenantsQuery, page: PageRequest): Promise<Page<Tenant>> {
  const { status, plan, search } = query
  return rows.listTenants(ctx.db, { status, plan, search, ...createdRange(query) }, page)
}

/**
 * A tenant with its figures as they are now: months are calendar months in UTC. Of one whose purge stopped half-way
 * they are all 0.
 *
 * @throws TenantNotFound, TenantPending
 */
export async function getTenant(ctx: ControlContext, id: string): Promise<TenantDetails> {
  const { tenant, quotaOverrides } = await findSettled(ctx, id)
  const { figures, migration } = await readFigures(ctx, id)
  const databaseSizeBytes = await ctx.tenants.databaseSizeBytes(id)
  return { ...tenant, quotaOverrides, figures: { ...figures, databaseSizeBytes }, migration }
}

async function readFigures(ctx: ControlContext, id: string): Promise<StoredFigures> {
  try {
    return (await ctx.tenants.run(id, 'figures', { period: periodOf(ctx.now()) })) as StoredFigures
  } catch (error) {
    if (error instanceof NoTenantDatabase) return NO_FIGURES
    throw error
  }
}

export interface Standing {
  isActive: boolean
  limits: TenantLimits
}

/** How a tenant stands, from its own database: for work that has no request to bring it along. */
export async function readStanding(db: TenantDb): Promise<Standing> {
  return standingOf(await rows.getTenantRecord(db))
}

/** The same from a row that was read already, such as the one that `lockTenant` returns. */
export function standingOf({ status, plan, quotas }: Selectable<TenantTable>): Standing {
  return { isActive: status === 'active', limits: limitsOfRow(plan, quotas) }
}
