import { nextInvoiceDue } from '#kit/billing-period.ts'
import type { ControlContext } from '#kit/context.ts'
import { isUniqueViolation } from '#kit/db/constraint-errors.ts'
import { directoryOf } from '#kit/db/directory.ts'
import { SecretNoLongerAvailable } from '#kit/http/errors.ts'
import type { Made } from '#kit/http/idempotency.ts'
import { makeKey } from '../../api-keys/make-key.ts'
import type { KeyMaking } from '../../api-keys/service.ts'
import { storedEmail } from '../../users/repository.ts'
import type { CreateTenant, NewTenant, Tenant } from '../contract.ts'
import { TenantSlugTaken } from '../errors.ts'
import type { Provision, Rotation } from '../operations.ts'
import { limitsOf, type QuotaOverrides } from '../plans.ts'
import * as rows from '../repository.ts'

/**
 * Creates a tenant: its row in control (pending), its database, its first admin with a key; then it is active. When
 * the process dies in between, the pending row leads to nothing and gives way to the next creation with its slug.
 *
 * @returns the tenant, the admin and the admin's key, which is not kept
 * @throws TenantSlugTaken
 */
export async function createTenant(ctx: ControlContext, making: KeyMaking, input: CreateTenant): Promise<NewTenant> {
  const now = ctx.now()
  const { slug, plan, name = slug, quotas: quotaOverrides = {} } = input
  const id = ctx.newId()
  const quotas = limitsOf(plan, quotaOverrides)
  const at = now.toISOString()
  const tenant: Tenant = { id, name, slug, status: 'pending', plan, quotas, createdAt: at, updatedAt: at }

  await claimSlug(ctx, tenant, quotaOverrides)
  const first = input.admin ? await makeAdmin(ctx, making, id, input.admin) : null
  await ctx.tenants.create(id)
  await ctx.tenants.run(id, 'provision', { tenant, quotaOverrides, admin: first?.admin ?? null } satisfies Provision)
  const invoice = nextInvoiceDue(now)
  await directoryOf(ctx.db, id).putDueWork('invoice', invoice.period, invoice.at)
  await ctx.transaction(async (tx) => {
    if (!(await rows.activateTenant(tx, id))) throw new TenantSlugTaken({ slug }) // it took so long that it was cleared away
    await ctx.commitWith(tx, id, first?.key)
  })
  const user = first ? { id: first.admin.user.id, email: first.admin.user.email } : null
  return { tenant: { ...tenant, status: 'active' }, user, apiKey: first?.key ?? null }
}

/**
 * What `createTenant` answered, rendered again for the same `Idempotency-Key`; the tenant as it is now.
 *
 * @throws SecretNoLongerAvailable when the first admin's key can no longer be shown
 */
export async function showNewTenant(ctx: ControlContext, made: Made): Promise<NewTenant> {
  const stored = await rows.findTenant(ctx.db, made.id)
  if (!stored) throw new SecretNoLongerAvailable() // purged meanwhile
  const user = (await ctx.tenants.run(made.id, 'firstAdmin', null)) as NewTenant['user']
  return { tenant: stored.tenant, user, apiKey: user && (await made.secret()) }
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

/** A creation takes seconds; one that is still pending after this long died, and so has its claim of an idempotency key. */
const PENDING_LIMIT_MS = 30_000

async function claimSlug(ctx: ControlContext, tenant: Tenant, overrides: QuotaOverrides): Promise<void> {
  if (await insertIfFree(ctx, tenant, overrides)) return
  const holder = await rows.findTenantBySlug(ctx.db, tenant.slug)
  const isDead = holder?.status === 'pending' && ctx.now().getTime() - Date.parse(holder.createdAt) > PENDING_LIMIT_MS
  if (!holder || !isDead) throw new TenantSlugTaken({ slug: tenant.slug })
  await ctx.tenants.remove(holder.id)
  await ctx.transaction((tx) => rows.deletePendingTenant(tx, holder.id))
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
