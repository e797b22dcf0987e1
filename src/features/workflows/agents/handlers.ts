import type { App } from '#kit/http/env.ts'
import { idempotent } from '#kit/http/idempotency.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as agents from './service.ts'

export function mountAgents(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.listAgents, async (c) => {
    const query = c.req.valid('query')
    const page = await agents.listAgents(withDesi(c.get('tenant')), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.createAgent, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await agents.createAgent(withDesi(ctx), c.req.valid('json')), 201),
      async (ctx, made) => c.json(await agents.getAgent(withDesi(ctx), made.id), 201),
    ),
  )

  app.openapi(contract.resolveAgent, async (c) => {
    const agent = await agents.resolveAgent(withDesi(c.get('tenant')), c.req.valid('param').name)
    return c.json(agent, 200)
  })

  app.openapi(contract.getAgent, async (c) => {
    const agent = await agents.getAgent(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(agent, 200)
  })

  app.openapi(contract.updateAgent, async (c) => {
    const agent = await agents.updateAgent(withDesi(c.get('tenant')), c.req.valid('param').id, c.req.valid('json'))
    return c.json(agent, 200)
  })

  app.openapi(contract.activateAgent, async (c) => {
    const agent = await agents.activateAgent(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(agent, 200)
  })

  app.openapi(contract.deleteAgent, async (c) => {
    await agents.deleteAgent(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.body(null, 204)
  })
}
