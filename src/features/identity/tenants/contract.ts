import { z } from '@hono/zod-openapi'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { TenantSlugTaken } from './errors.ts'

const tags = ['Tenants']

export const PLANS = ['free', 'pro', 'power', 'team', 'enterprise'] as const

export const Tenant = z
  .object({
    id: z.uuid(),
    name: z.string(),
    slug: z.string(),
    status: z.enum(['pending', 'active', 'suspended']),
    plan: z.enum(PLANS),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Tenant')
export type Tenant = z.infer<typeof Tenant>

/** Lower-case letters, digits and inner hyphens, as in a host name (RFC 1123). */
export const Slug = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, 'Use lower-case letters, digits and inner hyphens, at most 63.')

export const CreateTenant = z
  .strictObject({
    slug: Slug,
    name: z.string().trim().min(1).max(200).optional().openapi({ description: 'The slug when left out.' }),
    plan: z.enum(PLANS).default('free'),
    admin: z
      .strictObject({ email: z.email().max(254), name: z.string().trim().min(1).max(200).optional() })
      .openapi({ description: 'The first user. Gets a key with all scopes, shown this once.' }),
  })
  .openapi('CreateTenant')
export type CreateTenant = z.infer<typeof CreateTenant>

const NewTenant = z
  .object({
    tenant: Tenant,
    user: z.object({ id: z.uuid(), email: z.string() }),
    apiKey: z.string().openapi({ description: 'The key of the first user. Shown this once, never stored.' }),
  })
  .openapi('NewTenant')
export type NewTenant = z.infer<typeof NewTenant>

export const listTenants = defineRoute({
  operationId: 'listTenants',
  method: 'get',
  path: '/admin/tenants',
  tags,
  scope: 'super_admin',
  home: 'control',
  summary: 'List all tenants, newest first',
  request: { query: z.strictObject(PageQuery) },
  responses: { 200: json(pageOf(Tenant).openapi('TenantPage'), 'A page of tenants') },
})

export const createTenant = defineRoute({
  operationId: 'createTenant',
  method: 'post',
  path: '/admin/tenants',
  tags,
  scope: 'super_admin',
  home: 'control',
  rateClass: 'auth',
  summary: 'Create a tenant with its database, its first admin and that admin’s key',
  request: { body: { required: true, ...json(CreateTenant, 'Its slug and its first admin') } },
  responses: { 201: json(NewTenant, 'The tenant'), ...errors(TenantSlugTaken) },
})
