import type { App } from '#kit/http/env.ts'
import { idempotent } from '#kit/http/idempotency.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as dags from './service.ts'

export function mountDags(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.createDag, (c) => {
    const answer = (planned: dags.Planned) =>
      planned.status === 'success' ? c.json(planned, 201) : c.json(planned, 202)
    return idempotent(
      c,
      async (ctx) => answer(await dags.createDag(withDesi(ctx), c.req.valid('json'))),
      async (ctx, { id }) => answer(await dags.replayDag(withDesi(ctx), id)),
    )
  })

  app.openapi(contract.resumeClarification, (c) => {
    const answer = (planned: dags.Planned) =>
      planned.status === 'success' ? c.json(planned, 201) : c.json(planned, 202)
    const { id } = c.req.valid('param')
    return idempotent(
      c,
      async (ctx) => answer(await dags.resumeClarification(withDesi(ctx), id, c.req.valid('json').userResponse)),
      async (ctx) => answer(await dags.replayDag(withDesi(ctx), id)),
    )
  })

  app.openapi(contract.createExecute, (c) => {
    const answer = (made: dags.Planned | dags.Executing) => c.json(made, 202)
    return idempotent(
      c,
      async (ctx) => answer(await dags.createExecute(withDesi(ctx), c.req.valid('json'))),
      async (ctx, { id }) => answer(await dags.replayCreateExecute(withDesi(ctx), id)),
    )
  })

  app.openapi(contract.executeDefinition, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await dags.executeDefinition(withDesi(ctx), c.req.valid('json')), 202),
      async (ctx, { id }) => c.json(await dags.getStarted(withDesi(ctx), id), 202),
    ),
  )

  app.openapi(contract.listDags, async (c) => {
    const query = c.req.valid('query')
    const page = await dags.listDags(withDesi(c.get('tenant')), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.listScheduledDags, async (c) => {
    const query = c.req.valid('query')
    const page = await dags.listScheduledDags(withDesi(c.get('tenant')), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.getDag, async (c) => {
    const dag = await dags.getDag(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(dag, 200)
  })

  app.openapi(contract.updateDag, async (c) => {
    const dag = await dags.updateDag(withDesi(c.get('tenant')), c.req.valid('param').id, c.req.valid('json'))
    return c.json(dag, 200)
  })

  app.openapi(contract.deleteDag, async (c) => {
    await dags.deleteDag(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.body(null, 204)
  })

  app.openapi(contract.executeDag, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await dags.executeDag(withDesi(ctx), c.req.valid('param').id, c.req.valid('json')), 202),
      async (ctx, { id }) => c.json(await dags.getStarted(withDesi(ctx), id), 202),
    ),
  )
}
