import { prefersJson } from '#kit/http/accept.ts'
import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { StreamTickets } from '#kit/stream-tickets.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import { listEvents, streamStart } from './event-pages.ts'
import * as executions from './service.ts'
import { type EventStreams, streamEvents } from './stream.ts'

export function mountExecutions(
  app: App,
  withDesi: WithDesiAgent,
  streams: EventStreams,
  tickets: StreamTickets,
): void {
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
    const query = c.req.valid('query')
    const lastEventId = c.req.valid('header')['last-event-id']
    const ctx = withDesi(c.get('tenant'))
    if (prefersJson(c.req.header('accept'))) return c.json(await listEvents(ctx, id, query, lastEventId), 200)
    return streamEvents(c, ctx, streams, id, streamStart(query, lastEventId))
  })

  app.openapi(contract.createStreamTicket, async (c) => {
    const { id } = c.req.valid('param')
    const ticket = await executions.createStreamTicket(withDesi(c.get('tenant')), tickets, id)
    return c.json(ticket, 201)
  })

  app.openapi(contract.cancelExecution, async (c) => {
    const execution = await executions.cancelExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(execution, 200)
  })

  app.openapi(contract.pauseExecution, async (c) => {
    const execution = await executions.pauseExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(execution, 202)
  })

  app.openapi(contract.resumeExecution, async (c) => {
    const { id } = c.req.valid('param')
    const execution = await executions.resumeExecution(withDesi(c.get('tenant')), id, c.req.valid('json'))
    return c.json(execution, 202)
  })

  app.openapi(contract.retrySubStep, async (c) => {
    const { id, subStepId } = c.req.valid('param')
    const execution = await executions.retrySubStep(withDesi(c.get('tenant')), id, subStepId)
    return c.json(execution, 202)
  })

  app.openapi(contract.deleteExecution, async (c) => {
    await executions.deleteExecution(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.body(null, 204)
  })
}
