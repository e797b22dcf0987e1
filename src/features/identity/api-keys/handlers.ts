import type { TenantContext } from '#kit/context.ts'
import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import * as adminKeys from '../admin-keys/service.ts'
import * as contract from './contract.ts'
import * as apiKeys from './service.ts'

export function mountApiKeys(app: App, making: apiKeys.KeyMaking): void {
  app.openapi(contract.getMe, async (c) => {
    const [tenant, control] = [c.get('tenant') as TenantContext | undefined, c.get('control')]
    return c.json(tenant ? await apiKeys.getMe(tenant) : await adminKeys.getMe(control), 200)
  })

  app.openapi(contract.listApiKeys, async (c) => {
    const query = c.req.valid('query')
    const page = await apiKeys.listApiKeys(c.get('tenant'), pageRequest(query))
    return c.json(
      pageAnswer(page, query, (key) => key),
      200,
    )
  })

  app.openapi(contract.createApiKey, async (c) => {
    const key = await apiKeys.createApiKey(c.get('tenant'), making, c.req.valid('json'))
    return c.json(key, 201)
  })

  app.openapi(contract.revokeApiKey, async (c) => {
    await apiKeys.revokeApiKey(c.get('tenant'), c.req.valid('param').id)
    return c.body(null, 204)
  })
}
