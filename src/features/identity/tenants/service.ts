import type { ControlContext } from '#kit/context.ts'
import { generateApiKey } from '#kit/crypto/api-key.ts'
import { isUniqueViolation } from '#kit/db/constraint-errors.ts'
import { directoryOf } from '#kit/db/directory.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { KeyMaking } from '../api-keys/service.ts'
import type { CreateTenant, NewTenant, Tenant } from './contract.ts'
import { TenantSlugTaken } from './errors.ts'
import type { HashedKey, Provision, Rotation } from './operations.ts'
import * as rows from './repository.ts'

export async function listTenants(ctx: ControlContext, page: PageRequest): Promise<Page<Tenant>> {
  const found = await rows.listTenants(ctx.db, page)
  return { ...found, rows: found.rows.map(rows.toTenant) }
}

/**
 * Creates a tenant: its row in control (pending), its database, its first admin with a key; then it is active. When
 * the process dies in between, the pending row leads to nothing and gives way to the next creation with its slug.
 *
 * @returns the tenant, the admin and the admin's key, which is not kept
 * @throws TenantSlugTaken
 */
export async function createTenant(ctx: ControlContext, making: KeyMaking, input: CreateTenant): Promise<NewTenant> {
  const now = ctx.now().toISOString()
  const { slug, plan, name = slug, admin } = input
  const tenant: Tenant = { id: ctx.newId(), name, slug, status: 'pending', plan, createdAt: now, updatedAt: now }
  const user = { id: ctx.newId(), email: admin.email, name: admin.name ?? admin.email }

  await claimSlug(ctx, tenant)
  const { key, hashed } = await makeKey(ctx, making, tenant.id)
  await ctx.tenants.create(tenant.id)
  await ctx.tenants.run(tenant.id, 'provision', { tenant, user, key: hashed } satisfies Provision)
  await rows.setTenantStatus(ctx.db, tenant.id, 'active', now)
  return { tenant: { ...tenant, status: 'active' }, user: { id: user.id, email: user.email }, apiKey: key }
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
  const { key, hashed } = await makeKey(ctx, making, tenant.id)
  const rotation: Rotation = { key: hashed, adminEmail, at: ctx.now().toISOString() }
  const user = (await ctx.tenants.run(tenant.id, 'rotateBootstrapKey', rotation)) as NewTenant['user'] | null
  if (user) return { tenant, user, apiKey: key }
  await directoryOf(ctx.db, tenant.id).removeKey(hashed.keyId)
  return null
}

/** A creation takes seconds; one that is still pending after this long died. */
const PENDING_LIMIT_MS = 60_000

async function claimSlug(ctx: ControlContext, tenant: Tenant): Promise<void> {
  if (await insertIfFree(ctx, tenant)) return
  const holder = await rows.findTenantBySlug(ctx.db, tenant.slug)
  const isDead = holder?.status === 'pending' && ctx.now().getTime() - Date.parse(holder.createdAt) > PENDING_LIMIT_MS
  if (!holder || !isDead) throw new TenantSlugTaken({ slug: tenant.slug })
  await ctx.tenants.remove(holder.id)
  await rows.deletePendingTenant(ctx.db, holder.id)
  // Somebody else may have cleared the same dead creation away and been quicker.
  if (!(await insertIfFree(ctx, tenant))) throw new TenantSlugTaken({ slug: tenant.slug })
}

async function insertIfFree(ctx: ControlContext, tenant: Tenant): Promise<boolean> {
  try {
    await rows.insertTenant(ctx.db, tenant)
    return true
  } catch (error) {
    if (isUniqueViolation(error)) return false
    throw error
  }
}

/** The index row first: a key that leads nowhere is harmless, a key nobody can find is lost. */
async function makeKey(
  ctx: ControlContext,
  making: KeyMaking,
  tenantId: string,
): Promise<{ key: string; hashed: HashedKey }> {
  const { key, keyId, keyPrefix } = generateApiKey(making.environment)
  const hash = await making.hasher.hash(key)
  await directoryOf(ctx.db, tenantId).registerKey(keyId)
  return { key, hashed: { keyId, keyPrefix, hash } }
}
