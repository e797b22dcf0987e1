import type { MiddlewareHandler } from 'hono'
import { rateLimiter } from 'hono-rate-limiter'
import type { Principal, TenantContext } from '../context.ts'
import { addressGroup } from './client-address.ts'
import type { RateClass } from './contract.ts'
import type { Env, RequestContext } from './env.ts'
import { RateLimited } from './errors.ts'
import { SlidingWindow, windowKey } from './sliding-window.ts'

const WINDOW_MS = 60_000
export const WINDOW_SECONDS = WINDOW_MS / 1000

export interface RateLimits {
  /** Calls a minute and API key. */
  apiPerMinute: number
  /** On top, for calls that make or end credentials. */
  authPerMinute: number
  /** On top, for calls that plan or start work. */
  executePerMinute: number
}

/** A key's class of calls, or `tenant`: all calls of a tenant together, whatever keys it has. */
export type LimitName = RateClass | 'tenant'

export interface LimitState {
  name: LimitName
  limit: number
  remaining: number
  /** When the oldest counted call is forgotten; null when none is counted. */
  resetAt: Date | null
}

/** The limits behind authentication; one exact sliding window for all of them. */
export class CallLimits {
  readonly #perMinute: Record<RateClass, number>
  readonly #now: () => number
  readonly #window: SlidingWindow

  constructor(limits: RateLimits, now: () => number) {
    this.#perMinute = { api: limits.apiPerMinute, auth: limits.authPerMinute, execute: limits.executePerMinute }
    this.#now = now
    this.#window = new SlidingWindow(WINDOW_MS, now)
  }

  /** Counts a call against its key's limit of this class. */
  perKey(name: RateClass): MiddlewareHandler<Env> {
    const limit = this.#perMinute[name]
    return this.#limiter(name, {
      limit,
      keyGenerator: (c) => windowKey(limit, `${name}:${c.get('principal').keyId}`),
    })
  }

  /** Counts a call against its tenant's ceiling, if it has one: further keys gain nothing. */
  perTenant(): MiddlewareHandler<Env> {
    return this.#limiter('tenant', {
      limit: (c) => ceilingOf(c) ?? 0,
      skip: (c) => ceilingOf(c) === null,
      keyGenerator: (c) => windowKey(ceilingOf(c) ?? 0, `tenant:${c.get('tenant').tenant.id}`),
    })
  }

  /** Where a caller stands, without counting anything. */
  stateOf(principal: Principal, tenantCeiling: number | null): LimitState[] {
    const classes = (Object.keys(this.#perMinute) as RateClass[]).map((name) =>
      this.#state(name, this.#perMinute[name], `${name}:${principal.keyId}`),
    )
    if (tenantCeiling === null) return classes
    return [...classes, this.#state('tenant', tenantCeiling, `tenant:${principal.tenantId}`)]
  }

  #state(name: LimitName, limit: number, subject: string): LimitState {
    const { used, resetAt } = this.#window.peek(windowKey(limit, subject))
    return { name, limit, remaining: Math.max(0, limit - used), resetAt }
  }

  #limiter(
    name: LimitName,
    rule: {
      limit: number | ((c: RequestContext) => number)
      keyGenerator: (c: RequestContext) => string
      skip?: (c: RequestContext) => boolean
    },
  ): MiddlewareHandler<Env> {
    return rateLimiter<Env>({
      windowMs: WINDOW_MS,
      store: this.#window,
      standardHeaders: false, // the API answers X-RateLimit-*, set below
      requestPropertyName: PROPERTY_OF[name],
      limit: rule.limit as never,
      keyGenerator: rule.keyGenerator as never,
      ...(rule.skip ? { skip: rule.skip as never } : {}),
      handler: (c) => refuse(c as RequestContext, name, this.#now()),
    })
  }
}

function ceilingOf(c: RequestContext): number | null {
  return (c.get('tenant') as TenantContext | undefined)?.limits.requestsPerMinute ?? null
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

const PROPERTY_OF: Record<LimitName, string> = {
  api: 'limitOfApi',
  auth: 'limitOfAuth',
  execute: 'limitOfExecute',
  tenant: 'limitOfTenant',
}
const PROPERTIES = Object.values(PROPERTY_OF)

/** Says before the handler runs how much is left of the limit the caller will meet first. `Reset` is in epoch seconds. */
export function setLimitHeaders(c: RequestContext): void {
  let tightest: LimiterInfo | undefined
  for (const property of PROPERTIES) {
    const info = c.get(property as never) as LimiterInfo | undefined
    if (info && (!tightest || info.remaining < tightest.remaining)) tightest = info
  }
  if (tightest) writeHeaders(c, tightest)
}

function writeHeaders(c: RequestContext, info: LimiterInfo): void {
  c.header('X-RateLimit-Limit', String(info.limit))
  c.header('X-RateLimit-Remaining', String(info.remaining))
  if (info.resetTime) c.header('X-RateLimit-Reset', String(Math.ceil(info.resetTime.getTime() / 1000)))
}

function refuse(c: RequestContext, name: LimitName, now: number): never {
  const info = c.get(PROPERTY_OF[name] as never) as LimiterInfo
  writeHeaders(c, info)
  throw rateLimited(info.limit, info.resetTime, now)
}

/** @param resetTime  when the oldest counted call is forgotten */
export function rateLimited(limit: number, resetTime: Date | undefined, now: number, message?: string) {
  const waitMs = Math.max(0, (resetTime?.getTime() ?? now + WINDOW_MS) - now)
  const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1000))
  const options = message === undefined ? { retryAfterSeconds } : { retryAfterSeconds, message }
  return new RateLimited({ limit, windowSeconds: WINDOW_SECONDS }, options)
}
