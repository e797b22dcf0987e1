import type { ControlContext } from '#kit/context.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import type { PurgeReceipt, Tenant } from '../contract.ts'
import { PurgeNotConfirmed, TenantNotFound } from '../errors.ts'
import * as rows from '../repository.ts'
import { changeTenant, findSettled, suspendTenant } from './change-tenant.ts'
import { isDeadCreation } from './unfinished-creation.ts'

export interface Deletion {
  /** For good; else the tenant is suspended. */
  isPurge: boolean
  /** The slug of the tenant to purge. */
  confirmation: string | undefined
}

/**
 * Suspends a tenant, or purges it: its work is stopped, its database and files are deleted once nobody works with them,
 * then its row with the keys and the due work that lead to it. Each step finds what an earlier purge has done already,
 * so one that stopped half-way is finished by repeating it. A purge takes tenants too whose creation died.
 *
 * @throws TenantNotFound; TenantPending while it is being created
 * @throws PurgeNotConfirmed when `confirmation` is not the tenant's slug; nothing is changed then
 */
export async function deleteTenant(
  ctx: ControlContext,
  id: string,
  { isPurge, confirmation }: Deletion,
): Promise<Tenant | PurgeReceipt> {
  if (!isPurge) return suspendTenant(ctx, id)
  const tenant = await findPurgeable(ctx, id)
  if (confirmation !== tenant.slug) throw new PurgeNotConfirmed()
  return purge(ctx, tenant)
}

async function findPurgeable(ctx: ControlContext, id: string): Promise<Tenant> {
  const stored = await rows.findTenant(ctx.db, id)
  if (stored && isDeadCreation(stored.tenant, ctx.now())) return stored.tenant
  return (await findSettled(ctx, id)).tenant
}

async function purge(ctx: ControlContext, { id, slug, status }: Tenant): Promise<PurgeReceipt> {
  if (status !== 'pending') await changeTenant(ctx, id, { status: 'suspended' }).catch(unlessDeleted)
  const databaseBytes = await ctx.tenants.databaseSizeBytes(id)
  await ctx.tenants.remove(id)
  const credentials = await ctx.transaction((tx) => rows.deleteTenant(tx, id))
  if (credentials === null) throw new TenantNotFound() // another purge of it was quicker
  const purgedAt = ctx.now().toISOString()
  return { purged: true, tenantId: id, slug, purgedAt, deleted: { databaseBytes, credentials } }
}

function unlessDeleted(error: unknown): void {
  if (!(error instanceof NoTenantDatabase)) throw error
}
