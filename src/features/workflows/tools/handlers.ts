import type { App } from '#kit/http/env.ts'
import type { WithDesiAgent } from '../context.ts'
import * as contract from './contract.ts'

export function mountTools(app: App, withDesi: WithDesiAgent): void {
  app.openapi(contract.listTools, async (c) => c.json({ data: [...withDesi(c.get('tenant')).desi.tools.list()] }, 200))

  app.openapi(contract.getTool, async (c) =>
    c.json(withDesi(c.get('tenant')).desi.tools.get(c.req.valid('param').name), 200),
  )
}
