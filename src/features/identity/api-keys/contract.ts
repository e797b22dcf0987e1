import { z } from '@hono/zod-openapi'
import { ROLES, TENANT_SCOPES } from '#kit/context.ts'
import { isAddressOrRange } from '#kit/http/client-address.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { SecretNoLongerAvailable } from '#kit/http/errors.ts'
import { IdParam } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import {
  AddressNotGrantable,
  ApiKeyEnded,
  ApiKeyNotFound,
  ApiKeyTooOld,
  ExpiryNotGrantable,
  ScopeNotGrantable,
  ServiceKeyForbidden,
} from './errors.ts'

const tags = ['Authentication']
const Scope = z.enum(TENANT_SCOPES)
const CallerScope = z.enum([...TENANT_SCOPES, 'super_admin'])

const AllowedAddresses = z
  .array(z.string().max(50).refine(isAddressOrRange, 'This is neither an address nor a CIDR range.'))
  .min(1)
  .max(50)

export const ApiKey = z
  .object({
    id: z.uuid(),
    name: z.string(),
    keyPrefix: z
      .string()
      .openapi({ description: 'The public beginning of the key.', example: 'desi_sk_live_4fQx1bZ09aKe' }),
    scopes: z.array(Scope),
    userId: z.uuid().nullable().openapi({ description: 'Null for a service key.' }),
    allowedAddresses: z
      .array(z.string())
      .nullable()
      .openapi({ description: 'Addresses and CIDR ranges it may be used from. Null: from everywhere.' }),
    expiresAt: z.iso.datetime().nullable(),
    lastUsedAt: z.iso.datetime().nullable().openapi({ description: 'Exact to the minute.' }),
    revokedAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
  })
  .openapi('ApiKey')
export type ApiKey = z.infer<typeof ApiKey>

export const NewApiKey = ApiKey.extend({
  key: z.string().openapi({ description: 'The key itself. Shown this once, never stored.' }),
}).openapi('NewApiKey')
export type NewApiKey = z.infer<typeof NewApiKey>

export const CreateApiKey = z
  .strictObject({
    name: z.string().trim().min(1).max(100),
    scopes: z.array(Scope).min(1).max(TENANT_SCOPES.length),
    expiresAt: z.iso
      .datetime()
      .optional()
      .openapi({
        description:
          'From then on the key is refused. Left out: the latest that is allowed, which is never unless the tenant sets a ' +
          'maximum age. Without the `admin` scope that is the end of the calling key at most.',
      }),
    allowedAddresses: AllowedAddresses.optional().openapi({
      description:
        'The key is refused from any other address. Left out: from everywhere. Without the `admin` scope, a calling key ' +
        'that is bound to addresses itself passes on all of them, or the entries given here.',
    }),
    isServiceKey: z
      .boolean()
      .default(false)
      .openapi({ description: 'The key belongs to the tenant, not to a user, and outlives its maker. Needs `admin`.' }),
  })
  .openapi('CreateApiKey')
export type CreateApiKey = z.infer<typeof CreateApiKey>

export const RotateApiKey = z
  .strictObject({
    overlapSeconds: z
      .int()
      .min(0)
      .max(7 * 24 * 3600)
      .default(0)
      .openapi({ description: 'How long the old key goes on working beside the new one.' }),
  })
  .openapi('RotateApiKey')
export type RotateApiKey = z.infer<typeof RotateApiKey>

const ListApiKeysQuery = z.strictObject({
  ...PageQuery,
  owner: z
    .enum(['me', 'service', 'all'])
    .default('me')
    .openapi({
      description:
        'Whose keys: the caller’s own, those that belong to the tenant, or everybody’s. The last two need `admin`. A service ' +
        'key without it has only itself.',
    }),
})
export type ListApiKeysQuery = z.infer<typeof ListApiKeysQuery>

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
  summary: 'List API keys',
  description: 'Newest first, revoked ones included. The keys themselves are never shown again.',
  request: { query: ListApiKeysQuery },
  responses: { 200: json(pageOf(ApiKey).openapi('ApiKeyPage'), 'A page of keys'), ...errors(ServiceKeyForbidden) },
})

export const createApiKey = defineRoute({
  operationId: 'createApiKey',
  method: 'post',
  path: '/auth/api-keys',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'auth',
  isIdempotent: true,
  summary: 'Create an API key for the calling user, or for the tenant',
  request: { body: { required: true, ...json(CreateApiKey, 'Its name, scopes and end') } },
  responses: {
    201: json(NewApiKey, 'The key; its secret is shown this once'),
    ...errors(
      ScopeNotGrantable,
      AddressNotGrantable,
      ExpiryNotGrantable,
      ServiceKeyForbidden,
      ApiKeyTooOld,
      SecretNoLongerAvailable,
    ),
  },
})

export const rotateApiKey = defineRoute({
  operationId: 'rotateApiKey',
  method: 'post',
  path: '/auth/api-keys/{id}/rotate',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'auth',
  isIdempotent: true,
  summary: 'Put a new key in the place of one, with the same name, scopes and addresses',
  description:
    "The old key works for `overlapSeconds` more. With the `admin` scope any of the tenant's keys, else only one's own; " +
    'a service key then has only itself. The new key lasts as long as the old one was meant to from its making, but ' +
    'without the `admin` scope no longer than the calling key, unless it rotates itself. A key that rotates itself should ask for an overlap: without ' +
    'one, a repeat of the call has nothing to authenticate with.',
  request: { params: IdParam, body: { required: true, ...json(RotateApiKey, 'How long both work') } },
  responses: {
    201: json(NewApiKey, 'The new key; its secret is shown this once'),
    ...errors(
      ApiKeyNotFound,
      ApiKeyEnded,
      ScopeNotGrantable,
      AddressNotGrantable,
      ExpiryNotGrantable,
      SecretNoLongerAvailable,
    ),
  },
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
    "The next request with it is refused. With the `admin` scope any of the tenant's keys, else only one's own; a service " +
    'key then has only itself.',
  request: { params: IdParam },
  responses: { 204: { description: 'Revoked' }, ...errors(ApiKeyNotFound) },
})
