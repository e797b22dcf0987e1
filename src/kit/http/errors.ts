import { z } from '@hono/zod-openapi'
import { defineError } from '../errors.ts'

const FieldProblems = z.array(z.object({ path: z.string(), message: z.string() }))

export const ValidationFailed = defineError({
  code: 'validation_failed',
  kind: 'invalid',
  message: 'The request does not fit the contract.',
  details: FieldProblems,
})

export const MalformedJson = defineError({
  code: 'malformed_json',
  kind: 'invalid',
  message: 'The body is not valid JSON.',
})

export const Unauthenticated = defineError({
  code: 'unauthenticated',
  kind: 'unauthenticated',
  message: 'Send an API key: Authorization: Bearer desi_sk_…',
})

export const InvalidApiKey = defineError({
  code: 'invalid_api_key',
  kind: 'unauthenticated',
  message: 'This API key is not valid. It may be mistyped, revoked or expired.',
})

export const InvalidTicket = defineError({
  code: 'invalid_ticket',
  kind: 'unauthenticated',
  message: 'This ticket is not valid here. Tickets last for a minute, each for one execution.',
})

export const InsufficientScope = defineError({
  code: 'insufficient_scope',
  kind: 'forbidden',
  message: 'This API key lacks the scope the operation needs.',
  details: z.object({ required: z.string(), granted: z.array(z.string()) }),
})

export const TenantSuspended = defineError({
  code: 'tenant_suspended',
  kind: 'forbidden',
  message: 'This tenant is suspended.',
})

export const AddressNotAllowed = defineError({
  code: 'address_not_allowed',
  kind: 'forbidden',
  message: 'This API key may not be used from this address.',
})

export const NotFound = defineError({
  code: 'not_found',
  kind: 'not_found',
  message: 'There is no such resource.',
})

export const RouteNotFound = defineError({
  code: 'route_not_found',
  kind: 'not_found',
  message: 'There is no such route. The API is described at /api/v2/docs.',
})

export const MethodNotAllowed = defineError({
  code: 'method_not_allowed',
  kind: 'method_not_allowed',
  message: 'This route does not answer to that method.',
  details: z.object({ allowed: z.array(z.string()) }),
})

export const PayloadTooLarge = defineError({
  code: 'payload_too_large',
  kind: 'too_large',
  message: 'The body is too large.',
  details: z.object({ limitBytes: z.int() }),
})

export const UnsupportedMediaType = defineError({
  code: 'unsupported_media_type',
  kind: 'unsupported_type',
  message: 'Send the body as application/json.',
})

export const RateLimited = defineError({
  code: 'rate_limited',
  kind: 'too_many',
  message: 'Too many requests. Wait as long as Retry-After says.',
  details: z.object({ limit: z.int(), windowSeconds: z.int() }),
})

export const TooManyStreams = defineError({
  code: 'too_many_streams',
  kind: 'too_many',
  message: 'Too many event streams and exports are open for this tenant.',
  details: z.object({ limit: z.int() }),
})

export const ServerStopping = defineError({
  code: 'server_stopping',
  kind: 'unavailable',
  message: 'This server is stopping. Try again in a moment.',
})

export const IdempotencyKeyReused = defineError({
  code: 'idempotency_key_reused',
  kind: 'unprocessable',
  message: 'This Idempotency-Key was used with another request.',
})

export const IdempotencyInProgress = defineError({
  code: 'idempotency_in_progress',
  kind: 'conflict',
  message: 'The first request with this Idempotency-Key is still running.',
})

export const SecretNoLongerAvailable = defineError({
  code: 'secret_no_longer_available',
  kind: 'conflict',
  message:
    'The first request with this Idempotency-Key has made it, and its secret can no longer be shown: rotate or revoke it.',
})
