import type { MiddlewareHandler } from 'hono'
import type { ControlContext, Principal, Scope, TenantContext } from '../context.ts'
import { ProductError } from '../errors.ts'
import type { RouteContract } from './contract.ts'
import type { Env, RequestContext } from './env.ts'
import { InsufficientScope, Unauthenticated } from './errors.ts'
import { settleOptionalBody } from './optional-body.ts'
import { type AddressLimit, type CallLimits, setLimitHeaders } from './rate-limit.ts'
import { assertStorable } from './storable-text.ts'

/** Who is calling, with the database they are at home in held open until `release`. */
export interface Entered<C> {
  principal: Principal
  context: C
  release(): void
}

export interface GuardParts {
  limits: CallLimits
  addressLimit: AddressLimit
  /** Verifies a credential of a tenant's user or program. */
  enterTenant(credential: string, address: string): Promise<Entered<TenantContext>>
  /** Verifies a ticket for this execution. */
  enterByTicket(ticket: string, executionId: string, address: string): Promise<Entered<TenantContext>>
  /** Verifies a super-admin key. */
  enterControl(credential: string, address: string): Promise<Entered<ControlContext>>
}

/**
 * Makes what runs in front of each handler, from its contract alone: the credential is verified, its scope compared,
 * its calls counted. There is no other way for a route to become reachable.
 */
export function guards(parts: GuardParts): (route: RouteContract) => MiddlewareHandler<Env>[] {
  const { limits } = parts
  const limiters = { api: limits.perKey('api'), auth: limits.perKey('auth'), execute: limits.perKey('execute') }
  const perTenant = limits.perTenant()
  return (route) => {
    if (route.scope === 'public') return [anonymous(route, parts.addressLimit)]
    const enter = entranceOf(route, parts)
    if (route.isUnlimited) return [enter, admit(route)]
    const special = route.rateClass && route.rateClass !== 'api' ? [limiters[route.rateClass]] : []
    const ceiling = route.home === 'control' ? [] : [perTenant]
    return [enter, limiters.api, ...ceiling, ...special, admit(route)]
  }
}

function entranceOf(route: RouteContract, parts: GuardParts): MiddlewareHandler<Env> {
  const [tenant, control] = [enterTenant(route, parts), enterControl(route, parts)]
  if (route.home !== 'caller') return route.home === 'control' ? control : tenant
  return (c, next) => (ADMIN_KEY.test(c.req.header('authorization') ?? '') ? control(c, next) : tenant(c, next))
}

/** What runs in front of a public route. */
export function anonymous(route: RouteContract, addressLimit: AddressLimit): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set('operationId', route.operationId)
    if (!route.isUnlimited) addressLimit.count(c.get('clientAddress'))
    await settleOptionalBody(c, route)
    await assertStorable(c, route)
    await next()
  }
}

function enterTenant(route: RouteContract, parts: GuardParts): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set('operationId', route.operationId)
    const ticket = ticketOf(c, route)
    const entered = await entering(c, parts, (address) =>
      ticket === null
        ? parts.enterTenant(credentialOf(c, parts.addressLimit), address)
        : parts.enterByTicket(ticket, c.req.param('id') ?? '', address),
    )
    try {
      c.set('principal', entered.principal)
      c.set('tenant', entered.context)
      await next()
    } finally {
      entered.release()
    }
  }
}

function enterControl(route: RouteContract, parts: GuardParts): MiddlewareHandler<Env> {
  return async (c, next) => {
    c.set('operationId', route.operationId)
    const entered = await entering(c, parts, (address) =>
      parts.enterControl(credentialOf(c, parts.addressLimit), address),
    )
    c.set('principal', entered.principal)
    c.set('control', entered.context)
    await next()
  }
}

/** A good key at the wrong door, or a suspended tenant's, never gets to its own limit: it counts against its address. */
async function entering<C>(
  c: RequestContext,
  { addressLimit }: GuardParts,
  enter: (address: string) => Promise<Entered<C>>,
): Promise<Entered<C>> {
  const address = c.get('clientAddress')
  try {
    return await enter(address)
  } catch (error) {
    if (error instanceof ProductError && error.kind === 'forbidden') addressLimit.count(address)
    throw error
  }
}

/** Comes after the limits, so that calls refused for their scope count too. */
function admit(route: RouteContract): MiddlewareHandler<Env> {
  return async (c, next) => {
    setLimitHeaders(c)
    const { scopes } = c.get('principal')
    if (route.scope !== 'any' && !scopes.includes(route.scope as Scope)) {
      throw new InsufficientScope({ required: route.scope, granted: [...scopes] })
    }
    await settleOptionalBody(c, route)
    await assertStorable(c, route)
    await next()
  }
}

const ADMIN_KEY = /^Bearer +desi_sk_admin_/i
const BEARER = /^Bearer +(\S+)$/i

function credentialOf(c: RequestContext, addressLimit: AddressLimit): string {
  const match = BEARER.exec(c.req.header('authorization') ?? '')
  if (match) return match[1] as string
  addressLimit.count(c.get('clientAddress'))
  throw new Unauthenticated()
}

/** A ticket stands in for a key that was not sent; beside one, or on a route that takes none, it is nothing. */
function ticketOf(c: RequestContext, { takesTicket }: RouteContract): string | null {
  if (!takesTicket || c.req.header('authorization') !== undefined) return null
  return c.req.query('ticket') ?? null
}
