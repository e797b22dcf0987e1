import type { TenantContext } from '#kit/context.ts'
import type { App } from '#kit/http/env.ts'
import { type CallLimits, WINDOW_SECONDS } from '#kit/http/rate-limit.ts'
import * as contract from './contract.ts'

export function mountRateLimits(app: App, limits: CallLimits): void {
  app.openapi(contract.getRateLimit, (c) => {
    const tenant = c.get('tenant') as TenantContext | undefined
    const states = limits.stateOf(c.get('principal'), tenant?.limits.requestsPerMinute ?? null)
    const data = states.map(({ resetAt, ...state }) => ({ ...state, resetAt: resetAt?.toISOString() ?? null }))
    return c.json({ windowSeconds: WINDOW_SECONDS, limits: data }, 200)
  })
}
