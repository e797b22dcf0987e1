import { z } from '@hono/zod-openapi'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { SecretNoLongerAvailable } from '#kit/http/errors.ts'
import { CreatedRange, IdParam, Search } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import type { Quota } from '#kit/quotas.ts'
import { PurgeNotConfirmed, TenantNotFound, TenantPending, TenantSlugTaken } from './errors.ts'
import { PLANS } from './plans.ts'

const tags = ['Tenants']
const control = { scope: 'super_admin', home: 'control' } as const

export const TENANT_STATUSES = ['pending', 'active', 'suspended'] as const

const limit = (description: string) =>
  z
    .int()
    .min(0)
    .nullable()
    .openapi({ description: `${description} Null: no limit.` })

const QUOTA_FIELDS = {
  maxUsers: limit('Users, invited ones included.'),
  maxAgents: limit('Versions of agents.'),
  maxExecutionsPerMonth: limit('Executions begun in a calendar month (UTC).'),
  maxTokensPerMonth: limit(
    'Tokens in and out in a calendar month (UTC). Calls in flight have theirs reserved, so they can pass it together only by what their prompts, taken as a token for every 3 characters, turn out longer.',
  ),
  maxConcurrentExecutions: limit('Executions that have begun and neither ended nor been suspended.'),
  requestsPerMinute: limit('Calls of all its keys together, in any 60 seconds.'),
} satisfies Record<Quota, z.ZodType>

export const Quotas = z
  .object(QUOTA_FIELDS)
  .openapi('Quotas', { description: "The plan's, with what was changed for this tenant." })
const QuotaOverrides = z
  .strictObject(QUOTA_FIELDS)
  .partial()
  .openapi('QuotaOverrides', { description: 'What differs from the plan; a quota that is left out is the plan’s.' })

export const Tenant = z
  .object({
    id: z.uuid(),
    name: z.string(),
    slug: z.string(),
    status: z.enum(TENANT_STATUSES),
    plan: z.enum(PLANS),
    quotas: Quotas,
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Tenant')
export type Tenant = z.infer<typeof Tenant>

const count = z.int().min(0)

export const TenantDetails = Tenant.extend({
  quotaOverrides: QuotaOverrides,
  figures: z.object({
    users: count,
    agents: count,
    executionsThisMonth: count,
    tokensThisMonth: count,
    activeExecutions: count.openapi({
      description: 'Executions that have begun and neither ended nor been suspended, paused and waiting ones included.',
    }),
    databaseSizeBytes: count,
  }),
  migration: z.object({
    current: z.string().nullable().openapi({ description: 'The last migration that ran on its database.' }),
    isUpToDate: z.boolean(),
  }),
}).openapi('TenantDetails')
export type TenantDetails = z.infer<typeof TenantDetails>

/** Lower-case letters, digits and inner hyphens, as in a host name (RFC 1123). */
export const Slug = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'Use lower-case letters, digits and inner hyphens, at most 63.')

const Name = z.string().trim().min(1).max(200)

export const CreateTenant = z
  .strictObject({
    slug: Slug,
    name: Name.optional().openapi({ description: 'The slug when left out.' }),
    plan: z.enum(PLANS).default('free'),
    quotas: QuotaOverrides.optional(),
    admin: z
      .strictObject({ email: z.email().max(254), name: Name.optional() })
      .optional()
      .openapi({ description: 'The first user, if there should be one. Gets a key with all scopes, shown this once.' }),
  })
  .openapi('CreateTenant')
export type CreateTenant = z.infer<typeof CreateTenant>

export const UpdateTenant = z
  .strictObject({
    name: Name.optional(),
    status: z.enum(['active', 'suspended']).optional(),
    plan: z.enum(PLANS).optional(),
    quotas: QuotaOverrides.optional(),
  })
  .openapi('UpdateTenant')
export type UpdateTenant = z.infer<typeof UpdateTenant>

const NewTenant = z
  .object({
    tenant: Tenant,
    user: z.union([z.object({ id: z.uuid(), email: z.string() }), z.null()]),
    apiKey: z
      .string()
      .nullable()
      .openapi({ description: 'The key of the first user. Shown this once, never stored. Null without an admin.' }),
  })
  .openapi('NewTenant')
export type NewTenant = z.infer<typeof NewTenant>

export const PurgeReceipt = z
  .object({
    purged: z.literal(true),
    tenantId: z.uuid(),
    slug: z.string(),
    purgedAt: z.iso.datetime(),
    deleted: z.object({
      databaseBytes: count,
      credentials: count.openapi({ description: 'API keys and invitations.' }),
    }),
  })
  .openapi('PurgeReceipt')
export type PurgeReceipt = z.infer<typeof PurgeReceipt>

const ListTenantsQuery = z.strictObject({
  ...PageQuery,
  status: z.enum(TENANT_STATUSES).optional(),
  plan: z.enum(PLANS).optional(),
  search: Search,
  ...CreatedRange,
})
export type ListTenantsQuery = z.infer<typeof ListTenantsQuery>

export const listTenants = defineRoute({
  ...control,
  operationId: 'listTenants',
  method: 'get',
  path: '/admin/tenants',
  tags,
  summary: 'List all tenants, newest first',
  request: { query: ListTenantsQuery },
  responses: { 200: json(pageOf(Tenant).openapi('TenantPage'), 'A page of tenants') },
})

export const createTenant = defineRoute({
  ...control,
  operationId: 'createTenant',
  method: 'post',
  path: '/admin/tenants',
  tags,
  rateClass: 'auth',
  isIdempotent: true,
  summary: 'Create a tenant with its database and, if asked, its first admin and that admin’s key',
  request: { body: { required: true, ...json(CreateTenant, 'Its slug, plan and first admin') } },
  responses: {
    201: json(NewTenant, 'The tenant'),
    ...errors(TenantSlugTaken, TenantNotFound, SecretNoLongerAvailable),
  },
})

export const getTenant = defineRoute({
  ...control,
  operationId: 'getTenant',
  method: 'get',
  path: '/admin/tenants/{id}',
  tags,
  summary: 'Get a tenant with its figures as they are now',
  request: { params: IdParam },
  responses: { 200: json(TenantDetails, 'The tenant'), ...errors(TenantNotFound, TenantPending) },
})

export const updateTenant = defineRoute({
  ...control,
  operationId: 'updateTenant',
  method: 'patch',
  path: '/admin/tenants/{id}',
  tags,
  summary: 'Change name, status, plan or quotas; fields that are left out stay',
  description: '`quotas` takes the place of all that was changed before.',
  request: { params: IdParam, body: { required: true, ...json(UpdateTenant, 'What to change') } },
  responses: { 200: json(Tenant, 'The tenant'), ...errors(TenantNotFound, TenantPending) },
})

export const suspendTenant = defineRoute({
  ...control,
  operationId: 'suspendTenant',
  method: 'post',
  path: '/admin/tenants/{id}/suspend',
  tags,
  summary: 'Stop a tenant: its keys answer 403, its executions are suspended',
  description: 'Suspending twice answers the same. Nothing is lost; `resumeTenant` opens it again.',
  request: { params: IdParam },
  responses: { 200: json(Tenant, 'The suspended tenant'), ...errors(TenantNotFound, TenantPending) },
})

export const resumeTenant = defineRoute({
  ...control,
  operationId: 'resumeTenant',
  method: 'post',
  path: '/admin/tenants/{id}/resume',
  tags,
  summary: 'Open a suspended tenant again',
  description: 'Its executions stay suspended until somebody resumes them.',
  request: { params: IdParam },
  responses: { 200: json(Tenant, 'The tenant'), ...errors(TenantNotFound, TenantPending) },
})

const DeleteTenantQuery = z.strictObject({
  purge: z.enum(['true', 'false']).default('false').openapi({ description: 'Delete for good instead of suspending.' }),
})

export const deleteTenant = defineRoute({
  ...control,
  operationId: 'deleteTenant',
  method: 'delete',
  path: '/admin/tenants/{id}',
  tags,
  rateClass: 'auth',
  summary: 'Suspend a tenant, or with `purge=true` delete all there is of it',
  description:
    'A purge needs the tenant’s slug in `X-Confirm-Purge`. It deletes database, files, keys and due work and answers with a receipt; ' +
    'afterwards nothing tells that there was such a tenant. One that stopped half-way is finished by repeating it. ' +
    'It also clears away a tenant that has been pending for over 30 seconds: its creation died.',
  request: {
    params: IdParam,
    query: DeleteTenantQuery,
    headers: z.object({
      'x-confirm-purge': z.string().max(63).optional().openapi({ description: 'The slug of the tenant to purge.' }),
    }),
  },
  responses: {
    200: json(z.union([Tenant, PurgeReceipt]), 'The suspended tenant, or the receipt of its purge'),
    ...errors(TenantNotFound, TenantPending, PurgeNotConfirmed),
  },
})
