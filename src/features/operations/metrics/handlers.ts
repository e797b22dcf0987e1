import type { App } from '#kit/http/env.ts'
import * as contract from './contract.ts'

/** @param exposition  the metrics as Prometheus reads them */
export function mountMetrics(app: App, exposition: () => Promise<string>): void {
  app.openapi(contract.getMetrics, async (c) =>
    c.text(await exposition(), 200, { 'Content-Type': 'text/plain; version=0.0.4; charset=utf-8' }),
  )
}
