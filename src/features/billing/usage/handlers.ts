import type { App } from '#kit/http/env.ts'
import type { OpenStreams } from '#kit/http/open-streams.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import { textStream } from '#kit/http/text-stream.ts'
import * as contract from './contract.ts'
import { exportUsage } from './export.ts'
import * as usage from './service.ts'

export function mountUsage(app: App, streams: OpenStreams): void {
  app.openapi(contract.getCurrentUsage, async (c) => c.json(await usage.getCurrentUsage(c.get('tenant')), 200))

  app.openapi(contract.listUsage, async (c) => {
    const query = c.req.valid('query')
    const page = await usage.listUsage(c.get('tenant'), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.exportUsage, async (c) => {
    const isHead = c.req.method === 'HEAD'
    const source = isHead ? null : exportUsage(c.get('tenant'), c.req.valid('query'), streams)
    // Only now: a refusal must not look like a file.
    c.header('Content-Type', 'text/csv; charset=utf-8')
    c.header('Content-Disposition', 'attachment; filename="usage.csv"')
    if (!source) return c.body(null, 200)
    return c.body(textStream(source, { hangUp: c.req.raw.signal, breakOff: streams.stopping }), 200)
  })
}
