import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import { textStream } from '#kit/http/text-stream.ts'
import * as contract from './contract.ts'
import { exportUsage } from './export.ts'
import * as usage from './service.ts'

export function mountUsage(app: App): void {
  app.openapi(contract.getCurrentUsage, async (c) => c.json(await usage.getCurrentUsage(c.get('tenant')), 200))

  app.openapi(contract.listUsage, async (c) => {
    const query = c.req.valid('query')
    const page = await usage.listUsage(c.get('tenant'), query, pageRequest(query))
    return c.json(
      pageAnswer(page, query, (record) => record),
      200,
    )
  })

  app.openapi(contract.exportUsage, async (c) => {
    c.header('Content-Type', 'text/csv; charset=utf-8')
    c.header('Content-Disposition', 'attachment; filename="usage.csv"')
    if (c.req.method === 'HEAD') return c.body(null, 200)
    return c.body(textStream(exportUsage(c.get('tenant'), c.req.valid('query')), c.req.raw.signal), 200)
  })
}
