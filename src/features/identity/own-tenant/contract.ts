import { z } from '@hono/zod-openapi'
import { defineRoute, json } from '#kit/http/contract.ts'
import { Tenant } from '../tenants/contract.ts'

const tags = ['Tenants']

/** What a tenant sees of itself. */
const OwnTenant = Tenant.omit({ createdAt: true })
  .extend({
    maxApiKeyAgeDays: z
      .int()
      .nullable()
      .openapi({ description: 'New API keys expire after at most so many days. Null: they may last for ever.' }),
  })
  .openapi('OwnTenant')
export type OwnTenant = z.infer<typeof OwnTenant>

export const UpdateOwnTenant = z
  .strictObject({ maxApiKeyAgeDays: z.int().min(1).max(3_650).nullable() })
  .openapi('UpdateOwnTenant')
export type UpdateOwnTenant = z.infer<typeof UpdateOwnTenant>

export const getOwnTenant = defineRoute({
  operationId: 'getOwnTenant',
  method: 'get',
  path: '/tenant',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get the tenant the key belongs to, with its quotas',
  responses: { 200: json(OwnTenant, 'The tenant') },
})

export const updateOwnTenant = defineRoute({
  operationId: 'updateOwnTenant',
  method: 'patch',
  path: '/tenant',
  tags,
  scope: 'admin',
  home: 'tenant',
  summary: 'Set how long new API keys may last at most',
  request: { body: { required: true, ...json(UpdateOwnTenant, 'What to change') } },
  responses: { 200: json(OwnTenant, 'The tenant') },
})
