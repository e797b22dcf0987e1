import type { MiddlewareHandler } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import type { Log } from '#ports/log.ts'
import type { Metrics } from '#ports/metrics.ts'
import { newId } from '../ids.ts'
import type { Env, RequestContext } from './env.ts'
import { answer } from './error-response.ts'
import { PayloadTooLarge, ServerStopping } from './errors.ts'

export interface FrameOptions {
  log: Log
  metrics: Metrics
  bodyLimitBytes: number
  /** Origins a browser may call from; `*` for all. Empty: none. */
  corsOrigins: readonly string[]
  addressOf: (c: RequestContext) => string
  /** Aborts when the process goes down: what arrives after that is refused. */
  stopping?: AbortSignal
}

// OWASP's REST security cheat sheet; the pages that need another policy set their own.
const SECURITY_HEADERS: readonly (readonly [string, string])[] = [
  ['X-Content-Type-Options', 'nosniff'],
  ['X-Frame-Options', 'DENY'],
  ['Referrer-Policy', 'no-referrer'],
  ['Strict-Transport-Security', 'max-age=31536000; includeSubDomains'],
  ['Cross-Origin-Resource-Policy', 'same-origin'],
  ['Content-Security-Policy', "default-src 'none'; frame-ancestors 'none'"],
  ['Cache-Control', 'no-store'],
]

const CALLER_REQUEST_ID = /^[\w.:-]{8,128}$/

/**
 * What surrounds every request, in one middleware because a chain of Hono's own costs several times a small handler:
 * request id and security headers before the handler, one log line after it. CORS runs only for requests with an
 * `Origin`, the body limit only for those with a body.
 */
export function frame(options: FrameOptions): MiddlewareHandler<Env> {
  const { log, metrics, addressOf, bodyLimitBytes, stopping } = options
  const allowOrigins = cors({
    origin: options.corsOrigins.includes('*') ? '*' : [...options.corsOrigins],
    allowHeaders: [
      'Authorization',
      'Content-Type',
      'Idempotency-Key',
      'Last-Event-ID',
      'X-Confirm-Purge',
      'X-Request-Id',
    ],
    exposeHeaders: [
      'X-Request-Id',
      'X-RateLimit-Limit',
      'X-RateLimit-Remaining',
      'X-RateLimit-Reset',
      'Retry-After',
      'Idempotent-Replayed',
      'Content-Disposition',
    ],
    maxAge: 600,
  })
  // Answered, not thrown: a throw from here would leave the frame before its log line.
  const refuse = (c: RequestContext) => {
    c.res = answer(c, new PayloadTooLarge({ limitBytes: bodyLimitBytes }))
  }
  const refuseAll = async (c: RequestContext) => {
    c.res = answer(c, new ServerStopping(null, { retryAfterSeconds: 1 }))
  }
  const limitUnannounced = bodyLimit({ maxSize: bodyLimitBytes, onError: refuse as never })

  return async (c, next) => {
    const startedAt = performance.now()
    const given = c.req.header('x-request-id')
    const requestId = given && CALLER_REQUEST_ID.test(given) ? given : newId()
    c.set('requestId', requestId)
    c.set('clientAddress', addressOf(c))
    c.header('X-Request-Id', requestId)
    for (const [name, value] of SECURITY_HEADERS) c.header(name, value)

    const inner = stopping?.aborted ? () => refuseAll(c) : withBodyLimit(c, next)
    let preflight: Response | undefined
    if (c.req.header('origin') === undefined) await inner()
    else preflight = (await allowOrigins(c, inner)) ?? undefined
    const durationMs = performance.now() - startedAt
    const served = {
      route: c.get('operationId') ?? 'unmatched',
      method: c.req.method,
      status: (preflight ?? c.res).status,
    }
    metrics.request({ ...served, seconds: durationMs / 1000 })
    log.info(
      {
        requestId,
        tenantId: c.get('principal')?.tenantId,
        ...served,
        durationMs: Math.round(durationMs * 10) / 10,
      },
      'request',
    )
    return preflight
  }

  function withBodyLimit(c: RequestContext, next: () => Promise<void>): () => Promise<void> {
    const announced = c.req.header('content-length')
    if (announced !== undefined && Number(announced) <= bodyLimitBytes) return next
    if (announced === undefined && BODYLESS.has(c.req.method)) return next
    return async () => {
      if (announced === undefined) await limitUnannounced(c, next)
      else refuse(c)
    }
  }
}

// Any other request may bring a body without a word in its headers: HTTP/2 needs no length and knows no chunks.
const BODYLESS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])
