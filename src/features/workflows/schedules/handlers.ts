import type { App } from '#kit/http/env.ts'
import { idempotent } from '#kit/http/idempotency.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'
import * as schedules from './service.ts'

export function mountSchedules(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.createSchedule, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await schedules.createSchedule(withDesi(ctx), c.req.valid('json')), 201),
      async (ctx, { id }) => c.json(await schedules.getSchedule(withDesi(ctx), id), 201),
    ),
  )

  app.openapi(contract.listSchedules, async (c) => {
    const query = c.req.valid('query')
    const page = await schedules.listSchedules(withDesi(c.get('tenant')), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.previewSchedule, (c) =>
    c.json(schedules.previewSchedule(withDesi(c.get('tenant')), c.req.valid('json')), 200),
  )

  app.openapi(contract.getSchedule, async (c) => {
    const schedule = await schedules.getSchedule(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.json(schedule, 200)
  })

  app.openapi(contract.updateSchedule, async (c) => {
    const { id } = c.req.valid('param')
    const schedule = await schedules.updateSchedule(withDesi(c.get('tenant')), id, c.req.valid('json'))
    return c.json(schedule, 200)
  })

  app.openapi(contract.deleteSchedule, async (c) => {
    await schedules.deleteSchedule(withDesi(c.get('tenant')), c.req.valid('param').id)
    return c.body(null, 204)
  })

  app.openapi(contract.listNextRuns, async (c) => {
    const { id } = c.req.valid('param')
    const data = await schedules.listNextRuns(withDesi(c.get('tenant')), id, c.req.valid('query').count)
    return c.json({ data }, 200)
  })

  app.openapi(contract.listOccurrences, async (c) => {
    const query = c.req.valid('query')
    const { id } = c.req.valid('param')
    const page = await schedules.listOccurrences(withDesi(c.get('tenant')), id, query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })
}
