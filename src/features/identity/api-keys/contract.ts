import { z } from '@hono/zod-openapi'
import { ROLES, TENANT_SCOPES } from '#kit/context.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { ApiKeyNotFound, ScopeNotGrantable } from './errors.ts'

const tags = ['Authentication']
const Scope = z.enum(TENANT_SCOPES)
const CallerScope = z.enum([...TENANT_SCOPES, 'super_admin'])

export const ApiKey = z
  .object({
    id: z.uuid(),
    name: z.string(),
    keyPrefix: z
      .string()
      .openapi({ description: 'The public beginning of the key.', example: 'desi_sk_live_4fQx1bZ09aKe' }),
    scopes: z.array(Scope),
    userId: z.uuid().nullable().openapi({ description: 'Null for a service key.' }),
    expiresAt: z.iso.datetime().nullable(),
    lastUsedAt: z.iso.datetime().nullable().openapi({ description: 'Exact to the minute.' }),
    revokedAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
  })
  .openapi('ApiKey')
export type ApiKey = z.infer<typeof ApiKey>

const NewApiKey = ApiKey.extend({
  key: z.string().openapi({ description: 'The key itself. Shown this once, never stored.' }),
}).openapi('NewApiKey')

export const CreateApiKey = z
  .strictObject({
    name: z.string().trim().min(1).max(100),
    scopes: z.array(Scope).min(1).max(TENANT_SCOPES.length),
    expiresAt: z.iso
      .datetime()
      .optional()
      .openapi({ description: 'From then on the key is refused. None by default.' }),
  })
  .openapi('CreateApiKey')
export type CreateApiKey = z.infer<typeof CreateApiKey>

const Me = z
  .object({
    id: z.uuid().nullable(),
    email: z.string().nullable(),
    name: z.string().nullable(),
    role: z.enum(ROLES),
    scopes: z.array(CallerScope),
    tenant: z
      .union([z.object({ id: z.uuid(), name: z.string(), slug: z.string(), plan: z.string() }), z.null()])
      .openapi({ description: 'Null for the super admin.' }),
    apiKey: ApiKey.pick({ id: true, name: true, keyPrefix: true, expiresAt: true }).extend({
      scopes: z.array(CallerScope),
    }),
  })
  .openapi('Me')
export type Me = z.infer<typeof Me>

export const getMe = defineRoute({
  operationId: 'getMe',
  method: 'get',
  path: '/auth/me',
  tags,
  scope: 'any',
  home: 'caller',
  summary: 'Tell who the presented key belongs to and what it may do',
  responses: { 200: json(Me, 'The caller') },
})

export const listApiKeys = defineRoute({
  operationId: 'listApiKeys',
  method: 'get',
  path: '/auth/api-keys',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: "List the caller's API keys",
  description: 'Newest first, revoked ones included. The keys themselves are never shown again.',
  request: { query: z.strictObject(PageQuery) },
  responses: { 200: json(pageOf(ApiKey).openapi('ApiKeyPage'), 'A page of keys') },
})

export const createApiKey = defineRoute({
  operationId: 'createApiKey',
  method: 'post',
  path: '/auth/api-keys',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'auth',
  summary: 'Create an API key for the calling user',
  request: { body: { required: true, ...json(CreateApiKey, 'Its name, scopes and end') } },
  responses: { 201: json(NewApiKey, 'The key; its secret is shown this once'), ...errors(ScopeNotGrantable) },
})

export const revokeApiKey = defineRoute({
  operationId: 'revokeApiKey',
  method: 'delete',
  path: '/auth/api-keys/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'auth',
  summary: 'Revoke an API key',
  description:
    "The next request with it is refused. With the `admin` scope any of the tenant's keys, else only one's own.",
  request: { params: z.object({ id: z.uuid() }) },
  responses: { 204: { description: 'Revoked' }, ...errors(ApiKeyNotFound) },
})
