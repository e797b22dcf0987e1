import type { App } from '#kit/http/env.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as costs from './service.ts'

export function mountCosts(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.getExecutionCost, async (c) => {
    const cost = await costs.getExecutionCost(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(cost, 200)
  })

  app.openapi(contract.getDagCost, async (c) => {
    const cost = await costs.getDagCost(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(cost, 200)
  })

  app.openapi(contract.getCostSummary, async (c) => {
    const summary = await costs.getCostSummary(withDesi(c.get('tenant')), c.req.valid('query'))
    return c.json(summary, 200)
  })
}
