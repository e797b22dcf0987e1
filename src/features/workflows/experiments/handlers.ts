import type { App } from '#kit/http/env.ts'
import { idempotent } from '#kit/http/idempotency.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as experiments from './service.ts'

export function mountExperiments(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.createExperiment, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await experiments.createExperiment(withDesi(ctx), c.req.valid('json')), 202),
      async (ctx, { id }) => c.json(await experiments.getExperiment(withDesi(ctx), id), 202),
    ),
  )

  app.openapi(contract.listExperiments, async (c) => {
    const query = c.req.valid('query')
    const page = await experiments.listExperiments(withDesi(c.get('tenant')), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.getExperiment, async (c) => {
    const experiment = await experiments.getExperiment(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(experiment, 200)
  })
}
