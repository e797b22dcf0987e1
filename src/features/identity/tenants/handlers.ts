import type { App } from '#kit/http/env.ts'
import { idempotentInControl } from '#kit/http/idempotency.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { KeyMaking } from '../api-keys/service.ts'
import * as contract from './contract.ts'
import * as tenants from './service.ts'

/** What the super admin does with tenants; what a tenant sees of itself is in own-tenant. */
export function mountTenants(app: App, making: KeyMaking): void {
  app.openapi(contract.listTenants, async (c) => {
    const query = c.req.valid('query')
    const page = await tenants.listTenants(c.get('control'), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.createTenant, async (c) => {
    const tenant = await idempotentInControl(
      c,
      (ctx) => tenants.createTenant(ctx, making, c.req.valid('json')),
      tenants.showNewTenant,
    )
    return c.json(tenant, 201)
  })

  app.openapi(contract.getTenant, async (c) => {
    const tenant = await tenants.getTenant(c.get('control'), c.req.valid('param').id)
    return c.json(tenant, 200)
  })

  app.openapi(contract.updateTenant, async (c) => {
    const tenant = await tenants.updateTenant(c.get('control'), c.req.valid('param').id, c.req.valid('json'))
    return c.json(tenant, 200)
  })

  app.openapi(contract.suspendTenant, async (c) => {
    const tenant = await tenants.suspendTenant(c.get('control'), c.req.valid('param').id)
    return c.json(tenant, 200)
  })

  app.openapi(contract.resumeTenant, async (c) => {
    const tenant = await tenants.resumeTenant(c.get('control'), c.req.valid('param').id)
    return c.json(tenant, 200)
  })

  app.openapi(contract.deleteTenant, async (c) => {
    const isPurge = c.req.valid('query').purge === 'true'
    const confirmation = c.req.valid('header')['x-confirm-purge']
    const deleted = await tenants.deleteTenant(c.get('control'), c.req.valid('param').id, { isPurge, confirmation })
    return c.json(deleted, 200)
  })
}
