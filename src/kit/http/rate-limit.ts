import type { MiddlewareHandler } from 'hono'
import { rateLimiter } from 'hono-rate-limiter'
import { addressGroup } from './client-address.ts'
import type { RateClass } from './contract.ts'
import type { Env, RequestContext } from './env.ts'
import { RateLimited } from './errors.ts'
import { SlidingWindow, windowKey } from './sliding-window.ts'

const WINDOW_MS = 60_000

export interface RateLimits {
  /** Calls a minute and API key. */
  apiPerMinute: number
  /** On top, for calls that make or end credentials. */
  authPerMinute: number
  /** On top, for calls that plan or start work. */
  executePerMinute: number
  /** Anonymous and failed calls a minute and address. */
  addressPerMinute: number
}

/** The limits behind authentication, by verified key; one store for all classes. */
export function keyLimiters(limits: RateLimits, now: () => number): Record<RateClass, MiddlewareHandler<Env>> {
  const store = new SlidingWindow(WINDOW_MS, now)
  const limiter = (limit: number, name: RateClass) =>
    rateLimiter<Env>({
      windowMs: WINDOW_MS,
      limit,
      store,
      standardHeaders: false, // the API answers X-RateLimit-*, set below
      keyGenerator: (c) => windowKey(limit, `${name}:${c.get('principal').keyId}`),
      handler: (c) => refuse(c as RequestContext, now()),
    })
  return {
    api: limiter(limits.apiPerMinute, 'api'),
    auth: limiter(limits.authPerMinute, 'auth'),
    execute: limiter(limits.executePerMinute, 'execute'),
  }
}

/**
 * The limit in front of authentication. Only anonymous and failed calls count: many good callers may share an address.
 */
export class AddressLimit {
  readonly #limit: number
  readonly #now: () => number
  readonly #window: SlidingWindow

  constructor(limit: number, now: () => number) {
    this.#limit = limit
    this.#now = now
    this.#window = new SlidingWindow(WINDOW_MS, now)
  }

  /** @throws RateLimited when this address has had its share */
  count(address: string): void {
    const { totalHits, resetTime } = this.#window.increment(windowKey(this.#limit, addressGroup(address)))
    if (totalHits > this.#limit) throw rateLimited(this.#limit, resetTime, this.#now())
  }
}

interface LimiterInfo {
  limit: number
  remaining: number
  resetTime?: Date
}

/** Says before the handler runs how much of its limit the caller has left. `Reset` is in epoch seconds. */
export function setLimitHeaders(c: RequestContext): LimiterInfo {
  const info = c.get('rateLimit' as never) as LimiterInfo
  c.header('X-RateLimit-Limit', String(info.limit))
  c.header('X-RateLimit-Remaining', String(info.remaining))
  if (info.resetTime) c.header('X-RateLimit-Reset', String(Math.ceil(info.resetTime.getTime() / 1000)))
  return info
}

function refuse(c: RequestContext, now: number): never {
  const { limit, resetTime } = setLimitHeaders(c)
  throw rateLimited(limit, resetTime, now)
}

function rateLimited(limit: number, resetTime: Date | undefined, now: number) {
  const waitMs = Math.max(0, (resetTime?.getTime() ?? now + WINDOW_MS) - now)
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
  return new RateLimited({ limit, windowSeconds: WINDOW_MS / 1000 }, { retryAfterSeconds })
}
