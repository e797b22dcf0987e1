import { parseArgs } from 'node:util'
import { z } from 'zod'
import { createSuperAdminKey } from '#features/identity/admin-keys/service.ts'
import { controlContext } from '#features/identity/enter.ts'
import { Slug } from '#features/identity/tenants/contract.ts'
import { PLANS, type Plan } from '#features/identity/tenants/plans.ts'
import { findTenantBySlug } from '#features/identity/tenants/repository.ts'
import { createTenant, rotateAdminKey } from '#features/identity/tenants/service.ts'
import { readConfig } from '../config.ts'
import { openStores, type Stores } from '../node/stores.ts'
import { CommandError } from './command-error.ts'

export const BOOTSTRAP_HELP = `bootstrap --tenant SLUG --admin-email EMAIL [--name NAME] [--plan PLAN] [--json] [--rotate] [--rotate-super-admin]
  Creates the control database, a super-admin key (the first time), the tenant, its admin and the admin's API key.
  --plan                 what the tenant may have and use; enterprise, without quotas, when left out
  --json                 print one JSON object and nothing else
  --rotate               for a tenant that exists: revoke its admin's bootstrap key and print a new one
  --rotate-super-admin   revoke the super-admin keys there are and print a new one`

interface Wish {
  slug: string
  email: string
  name: string | undefined
  plan: Plan
  isRotation: boolean
  isSuperAdminRotation: boolean
}

interface Bootstrapped {
  superAdminKey: string | null
  tenant: { id: string; slug: string }
  user: { id: string; email: string }
  apiKey: string
}

/** Sets up a deployment, or a further tenant in it. Secrets are printed once and kept nowhere. */
export async function bootstrap(args: string[]): Promise<void> {
  const { wish, isJson } = readArguments(args)
  const stores = await openStores(readConfig({ ...process.env, LOG_LEVEL: 'silent' }))
  try {
    const made = await setUp(stores, wish)
    process.stdout.write(isJson ? `${JSON.stringify(made)}\n` : inWords(made))
  } finally {
    await stores.close()
  }
}

async function setUp(stores: Stores, wish: Wish): Promise<Bootstrapped> {
  const { control, hasher, now, tenants, config } = stores
  const ctx = controlContext('bootstrap', control, tenants, now)
  const making = { hasher, environment: config.API_KEY_ENV }
  const existing = await findTenantBySlug(control, wish.slug)
  if (existing?.status === 'active' && !wish.isRotation) {
    throw new CommandError(`There already is a tenant ${wish.slug}. Use --rotate for a new key of its admin.`)
  }
  if (existing?.status !== 'active' && wish.isRotation)
    throw new CommandError(`There is no tenant ${wish.slug} to rotate the key of.`)
  const made =
    existing?.status === 'active'
      ? await rotateAdminKey(ctx, making, existing, wish.email)
      : await createTenant(ctx, making, {
          slug: wish.slug,
          name: wish.name,
          plan: wish.plan,
          admin: { email: wish.email },
        })
  if (!made?.user || made.apiKey === null) {
    throw new CommandError(`The tenant ${wish.slug} has no active admin ${wish.email}.`)
  }
  const superAdminKey = await createSuperAdminKey(control, hasher, wish.isSuperAdminRotation, now())
  const { tenant, user, apiKey } = made
  return {
    superAdminKey,
    tenant: { id: tenant.id, slug: tenant.slug },
    user: { id: user.id, email: user.email },
    apiKey,
  }
}

function readArguments(args: string[]): { wish: Wish; isJson: boolean } {
  const { values } = parseArgs({
    args,
    options: {
      tenant: { type: 'string' },
      'admin-email': { type: 'string' },
      name: { type: 'string' },
      plan: { type: 'string', default: 'enterprise' },
      json: { type: 'boolean', default: false },
      rotate: { type: 'boolean', default: false },
      'rotate-super-admin': { type: 'boolean', default: false },
    },
  })
  const slug = Slug.safeParse(values.tenant)
  if (!slug.success) throw new CommandError('--tenant needs a slug: lower-case letters, digits and inner hyphens.')
  const email = z.email().max(254).safeParse(values['admin-email'])
  if (!email.success) throw new CommandError('--admin-email needs an e-mail address.')
  const plan = z.enum(PLANS).safeParse(values.plan)
  if (!plan.success) throw new CommandError(`--plan is one of ${PLANS.join(', ')}.`)
  const { name, rotate: isRotation, 'rotate-super-admin': isSuperAdminRotation } = values
  return {
    wish: { slug: slug.data, email: email.data, name, plan: plan.data, isRotation, isSuperAdminRotation },
    isJson: values.json,
  }
}

function inWords({ superAdminKey, tenant, user, apiKey }: Bootstrapped): string {
  return [
    `Tenant ${tenant.slug} (${tenant.id}) with its admin ${user.email}.`,
    '',
    `API key of ${user.email}, all scopes:`,
    `  ${apiKey}`,
    ...(superAdminKey ? ['', 'Super-admin key (creates and lists tenants):', `  ${superAdminKey}`] : []),
    '',
    'Keep them now: they are shown this once and stored nowhere.',
    '',
  ].join('\n')
}
