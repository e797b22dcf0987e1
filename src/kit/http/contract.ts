import { createRoute, type RouteConfig, z } from '@hono/zod-openapi'
import type { Scope } from '../context.ts'
import type { ErrorDeclaration } from '../errors.ts'
import { ErrorBody } from './error-response.ts'
import {
  AddressNotAllowed,
  IdempotencyInProgress,
  IdempotencyKeyReused,
  InsufficientScope,
  InvalidApiKey,
  InvalidTicket,
  MalformedJson,
  PayloadTooLarge,
  RateLimited,
  ServerStopping,
  TenantSuspended,
  Unauthenticated,
  UnsupportedMediaType,
  ValidationFailed,
} from './errors.ts'
import { STATUS_OF_KIND } from './statuses.ts'

/** Which limit a call counts against, beside its key's. */
export type RateClass = 'api' | 'auth' | 'execute'

/** What our routes say beside OpenAPI's words. The guard in front of the handler is made from it. */
export interface RouteDuties {
  operationId: string
  tags: string[]
  summary: string
  /** The scope the caller needs; `any` needs a good key of whatever scopes, `public` no credential. */
  scope: Scope | 'any' | 'public'
  /**
   * The database it lives on: `control` for the super admin, `tenant` for all else, `caller` for whichever of the two the
   * key belongs to. Public routes have `none`.
   */
  home: 'tenant' | 'control' | 'caller' | 'none'
  rateClass?: RateClass
  /** Takes an `Idempotency-Key`. */
  isIdempotent?: boolean
  /** Its body may be left out; then it is `{}`. Every field of it is optional. */
  hasOptionalBody?: boolean
  /** Takes a ticket of `createStreamTicket` as `?ticket=` in the place of a key. */
  takesTicket?: boolean
  /** Not counted: neither health checks against the caller's address, nor metrics against their key. */
  isUnlimited?: boolean
  /** Served without the /api/v2 prefix. */
  isAtRoot?: boolean
}

export type RouteContract = RouteConfig & RouteDuties

/**
 * Declares a route. Scope, home, operationId, tags and summary are required by type; the errors that follow from the
 * declaration (401, 403, 429, 503, a body's 400, 413 and 415) are documented by it and need not be listed.
 *
 * @throws at import when the declaration is not whole: a body that is optional or takes unknown fields
 */
export function defineRoute<P extends string, R extends Omit<RouteConfig, 'path'> & RouteDuties & { path: P }>(
  route: R,
) {
  assertWhole(route)
  const isOpen = route.scope === 'public'
  const headers = route.isIdempotent ? { headers: IdempotencyHeader } : {}
  return createRoute({
    ...route,
    request: { ...route.request, ...headers },
    responses: { ...mergeErrors(route.responses, impliedErrors(route)), ...UNEXPECTED },
    security: isOpen
      ? []
      : [{ apiKey: [] as string[] }, ...(route.takesTicket ? [{ streamTicket: [] as string[] }] : [])],
    'x-scope': route.scope,
    'x-rate-limit-class': route.isUnlimited ? 'none' : isOpen ? 'address' : (route.rateClass ?? 'api'),
  } as unknown as R)
}

/** A JSON body or answer. */
export function json<S extends z.ZodType>(schema: S, description: string) {
  return { description, content: { 'application/json': { schema } } }
}

/** The answers for declared errors, by status. Errors that share a status share its answer. */
export function errors(...declarations: ErrorDeclaration[]): Record<never, never> {
  return mergeErrors({}, declarations)
}

const IdempotencyHeader = z.object({
  'idempotency-key': z.string().min(1).max(255).optional().openapi({
    description: 'Makes a repeat of this call safe: it answers what the first one made. Kept for 24 hours.',
  }),
})

const UNEXPECTED = { 500: json(ErrorBody, '`internal_error`: something went wrong on our side.') }

function impliedErrors(route: RouteDuties & Pick<RouteConfig, 'request' | 'method'>): ErrorDeclaration[] {
  const { request } = route
  const implied: ErrorDeclaration[] = route.isUnlimited && route.scope === 'public' ? [] : [RateLimited]
  implied.push(ServerStopping)
  if (route.scope !== 'public') implied.push(Unauthenticated, InvalidApiKey, TenantSuspended, AddressNotAllowed)
  if (route.scope !== 'public' && route.scope !== 'any') implied.push(InsufficientScope)
  if (request?.params || request?.query || request?.body || route.isIdempotent) implied.push(ValidationFailed)
  if (route.takesTicket) implied.push(InvalidTicket)
  if (request?.body) implied.push(MalformedJson, UnsupportedMediaType)
  if (route.method !== 'get') implied.push(PayloadTooLarge) // whoever sends a body that is not asked for
  if (route.isIdempotent) implied.push(IdempotencyKeyReused, IdempotencyInProgress)
  return implied
}

type Responses = RouteConfig['responses']

function mergeErrors(responses: Responses, declarations: ErrorDeclaration[]): Responses {
  const merged: Responses = { ...responses }
  for (const { kind, code, message } of declarations) {
    const status = STATUS_OF_KIND[kind]
    const line = `\`${code}\`: ${message}`
    const before = merged[status] as ReturnType<typeof json> | undefined
    const said = before?.description.split('\n\n') ?? []
    if (!said.includes(line)) merged[status] = json(errorBeside(before), [...said, line].join('\n\n'))
  }
  return merged
}

/** The readiness has an answer of its own under a status that errors have as well. */
function errorBeside(answer: ReturnType<typeof json> | undefined): z.ZodType {
  const schema = answer?.content['application/json'].schema ?? ErrorBody
  return schema === ErrorBody ? ErrorBody : z.union([schema, ErrorBody])
}

function assertWhole(route: RouteDuties & Pick<RouteConfig, 'request'>): void {
  const body = route.request?.body
  const problems: string[] = []
  if (body && (body.required !== true) !== (route.hasOptionalBody === true)) {
    problems.push('its body is not required: an empty request would pass unvalidated')
  }
  if (route.scope === 'public' && route.home !== 'none') problems.push('a public route has no home')
  if (route.scope === 'super_admin' && route.home !== 'control') problems.push('the super admin is at home in control')
  for (const media of Object.values(body?.content ?? {}) as { schema?: unknown }[]) {
    if (media.schema instanceof z.ZodObject && !(media.schema.def.catchall instanceof z.ZodNever)) {
      problems.push('its body takes unknown fields; use z.strictObject')
    }
  }
  if (problems.length > 0) throw new Error(`${route.operationId}: ${problems.join('; ')}`)
}
