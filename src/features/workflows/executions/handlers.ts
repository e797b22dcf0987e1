import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as executions from './service.ts'
import { type EventStreams, streamEvents } from './stream.ts'

export function mountExecutions(app: App, withDesi: WithDesiAgent, streams: EventStreams): void {
  app.openapi(contract.listExecutions, async (c) => {
    const query = c.req.valid('query')
    const page = await executions.listExecutions(withDesi(c.get('tenant')), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.getExecution, async (c) => {
    const execution = await executions.getExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(execution, 200)
  })

  app.openapi(contract.getExecutionDetails, async (c) => {
    const details = await executions.getExecutionDetails(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(details, 200)
  })

  app.openapi(contract.listSubSteps, async (c) => {
    const { id } = c.req.valid('param')
    const data = await executions.listSubSteps(withDesi(c.get('tenant')), id)
    return c.json({ executionId: id, data }, 200)
  })

  app.openapi(contract.followExecution, async (c) => {
    const { id } = c.req.valid('param')
    const after = Number(c.req.valid('header')['last-event-id'] ?? 0)
    return streamEvents(c, withDesi(c.get('tenant')), streams, id, after)
  })

  app.openapi(contract.cancelExecution, async (c) => {
    const execution = await executions.cancelExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(execution, 200)
  })

  app.openapi(contract.resumeExecution, async (c) => {
    const execution = await executions.resumeExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(execution, 202)
  })

  app.openapi(contract.deleteExecution, async (c) => {
    await executions.deleteExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.body(null, 204)
  })
}
