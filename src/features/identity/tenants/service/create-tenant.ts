import { nextInvoiceDue } from '#kit/billing-period.ts'
import type { ControlContext } from '#kit/context.ts'
import { isUniqueViolation } from '#kit/db/constraint-errors.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import { directoryOf } from '#kit/db/directory.ts'
import type { Made } from '#kit/http/idempotency.ts'
import { makeKey } from '../../api-keys/make-key.ts'
import type { KeyMaking } from '../../api-keys/service.ts'
import { storedEmail } from '../../users/repository.ts'
import type { CreateTenant, NewTenant, Tenant } from '../contract.ts'
import { TenantNotFound, TenantSlugTaken } from '../errors.ts'
import type { Provision, Rotation } from '../operations.ts'
import { limitsOf, type QuotaOverrides } from '../plans.ts'
import * as rows from '../repository.ts'
import { clearAway, isDeadCreation } from './unfinished-creation.ts'

/**
 * Creates a tenant: its row in control (pending), its database, its first admin with a key; then it is active. One that
 * fails is cleared away. When the process dies in between, the pending row leads to nothing and gives way to the next
 * creation with its slug.
 *
 * @returns the tenant, the admin and the admin's key, which is not kept
 * @throws TenantSlugTaken
 */
export async function createTenant(ctx: ControlContext, making: KeyMaking, input: CreateTenant): Promise<NewTenant> {
  const { slug, plan, name = slug, quotas: quotaOverrides = {} } = input
  const id = ctx.newId()
  const quotas = limitsOf(plan, quotaOverrides)
  const at = ctx.now().toISOString()
  const tenant: Tenant = { id, name, slug, status: 'pending', plan, quotas, createdAt: at, updatedAt: at }

  await claimSlug(ctx, tenant, quotaOverrides)
  try {
    return await fillIn(ctx, making, { tenant, quotaOverrides }, input.admin)
  } catch (error) {
    await clearAway(ctx, id).catch(() => {}) // why it failed matters more; what is left over gives way in half a minute
    throw error
  }
}

/** @throws TenantSlugTaken when it took so long that somebody cleared it away */
async function fillIn(
  ctx: ControlContext,
  making: KeyMaking,
  { tenant, quotaOverrides }: rows.StoredTenant,
  wanted: CreateTenant['admin'],
): Promise<NewTenant> {
  const { id, slug, createdAt } = tenant
  const first = wanted ? await makeAdmin(ctx, making, id, wanted) : null
  await ctx.tenants.create(id)
  await ctx.tenants.run(id, 'provision', { tenant, quotaOverrides, admin: first?.admin ?? null } satisfies Provision)
  const invoice = nextInvoiceDue(new Date(createdAt))
  await directoryOf(ctx.db, id).putDueWork('invoice', invoice.period, invoice.at)
  await ctx.transaction(async (tx) => {
    if (!(await rows.activateTenant(tx, id))) throw new TenantSlugTaken({ slug })
    await ctx.commitWith(tx, id, first?.key)
  })
  const user = first ? { id: first.admin.user.id, email: first.admin.user.email } : null
  return { tenant: { ...tenant, status: 'active' }, user, apiKey: first?.key ?? null }
}

/**
 * What `createTenant` answered, rendered again for the same `Idempotency-Key`; the tenant as it is now.
 *
 * @throws SecretNoLongerAvailable when the first admin's key can no longer be shown
 * @throws TenantNotFound when it was purged meanwhile, or a purge of it stopped half-way
 */
export async function showNewTenant(ctx: ControlContext, made: Made): Promise<NewTenant> {
  const stored = await rows.findTenant(ctx.db, made.id)
  if (!stored) throw new TenantNotFound()
  const user = await findFirstAdmin(ctx, made.id)
  return { tenant: stored.tenant, user, apiKey: user && (await made.secret()) }
}

async function findFirstAdmin(ctx: ControlContext, id: string): Promise<NewTenant['user']> {
  try {
    return (await ctx.tenants.run(id, 'firstAdmin', null)) as NewTenant['user']
  } catch (error) {
    if (error instanceof NoTenantDatabase) throw new TenantNotFound()
    throw error
  }
}

/**
 * Gives the admin of an existing tenant a new bootstrap key and revokes the old one.
 *
 * @returns null when the tenant has no such active admin
 */
export async function rotateAdminKey(
  ctx: ControlContext,
  making: KeyMaking,
  tenant: Tenant,
  adminEmail: string,
): Promise<NewTenant | null> {
  const directory = directoryOf(ctx.db, tenant.id)
  const { key, hashed } = await makeKey(directory, making)
  const rotation: Rotation = { key: hashed, adminEmail, at: ctx.now().toISOString() }
  const user = (await ctx.tenants.run(tenant.id, 'rotateBootstrapKey', rotation)) as NewTenant['user'] | null
  if (user) return { tenant, user, apiKey: key }
  await directory.removeKey(hashed.keyId)
  return null
}

async function claimSlug(ctx: ControlContext, tenant: Tenant, overrides: QuotaOverrides): Promise<void> {
  if (await insertIfFree(ctx, tenant, overrides)) return
  const holder = await rows.findTenantBySlug(ctx.db, tenant.slug)
  if (!holder || !isDeadCreation(holder, ctx.now())) throw new TenantSlugTaken({ slug: tenant.slug })
  await clearAway(ctx, holder.id)
  // Somebody else may have cleared the same dead creation away and been quicker.
  if (!(await insertIfFree(ctx, tenant, overrides))) throw new TenantSlugTaken({ slug: tenant.slug })
}

async function insertIfFree(ctx: ControlContext, tenant: Tenant, overrides: QuotaOverrides): Promise<boolean> {
  try {
    await ctx.transaction((tx) => rows.insertTenant(tx, tenant, overrides))
    return true
  } catch (error) {
    if (isUniqueViolation(error)) return false
    throw error
  }
}

async function makeAdmin(
  ctx: ControlContext,
  making: KeyMaking,
  tenantId: string,
  { email, name = email }: NonNullable<CreateTenant['admin']>,
) {
  const { key, hashed } = await makeKey(directoryOf(ctx.db, tenantId), making)
  return { key, admin: { user: { id: ctx.newId(), email: storedEmail(email), name }, key: hashed } }
}
