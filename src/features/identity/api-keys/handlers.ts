import type { TenantContext } from '#kit/context.ts'
import type { App } from '#kit/http/env.ts'
import { idempotent } from '#kit/http/idempotency.ts'
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
    const page = await apiKeys.listApiKeys(c.get('tenant'), query.owner, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.createApiKey, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await apiKeys.createApiKey(ctx, making, c.req.valid('json')), 201),
      async (ctx, made) => c.json(await apiKeys.showNewApiKey(ctx, made), 201),
    ),
  )

  app.openapi(contract.rotateApiKey, (c) =>
    idempotent(
      c,
      async (ctx) => {
        const { id } = c.req.valid('param')
        return c.json(await apiKeys.rotateApiKey(ctx, making, id, c.req.valid('json')), 201)
      },
      async (ctx, made) => c.json(await apiKeys.showNewApiKey(ctx, made), 201),
    ),
  )

  app.openapi(contract.revokeApiKey, async (c) => {
    await apiKeys.revokeApiKey(c.get('tenant'), c.req.valid('param').id)
    return c.body(null, 204)
  })
}
