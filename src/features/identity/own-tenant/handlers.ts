import type { App } from '#kit/http/env.ts'
import * as contract from './contract.ts'
import * as ownTenant from './service.ts'

/** What a tenant sees and sets of itself; the super admin's routes are those of tenants. */
export function mountOwnTenant(app: App): void {
  app.openapi(contract.getOwnTenant, async (c) => {
    const tenant = await ownTenant.getOwnTenant(c.get('tenant'))
    return c.json(tenant, 200)
  })

  app.openapi(contract.updateOwnTenant, async (c) => {
    const tenant = await ownTenant.updateOwnTenant(c.get('tenant'), c.req.valid('json'))
    return c.json(tenant, 200)
  })
}
