import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { KeyMaking } from '../api-keys/service.ts'
import * as contract from './contract.ts'
import * as tenants from './service.ts'

export function mountTenants(app: App, making: KeyMaking): void {
  app.openapi(contract.listTenants, async (c) => {
    const query = c.req.valid('query')
    const page = await tenants.listTenants(c.get('control'), pageRequest(query))
    return c.json(
      pageAnswer(page, query, (tenant) => tenant),
      200,
    )
  })

  app.openapi(contract.createTenant, async (c) => {
    const tenant = await tenants.createTenant(c.get('control'), making, c.req.valid('json'))
    return c.json(tenant, 201)
  })
}
