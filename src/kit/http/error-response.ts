import { z } from '@hono/zod-openapi'
import type { ErrorHandler } from 'hono'
import { HTTPException } from 'hono/http-exception'
import type { Log } from '#ports/log.ts'
import { ProductError } from '../errors.ts'
import type { Env, RequestContext } from './env.ts'
import { MalformedJson, UnsupportedMediaType } from './errors.ts'
import { REASON_OF_STATUS, STATUS_OF_KIND } from './statuses.ts'

/** The one form every error answer has. */
export const ErrorBody = z
  .object({
    statusCode: z.int().openapi({ example: 404 }),
    error: z.string().openapi({ description: 'The HTTP reason phrase.', example: 'Not Found' }),
    code: z.string().openapi({ description: 'A stable word to branch on.', example: 'not_found' }),
    message: z.string().openapi({ description: 'One sentence for people.', example: 'There is no such resource.' }),
    details: z
      .union([
        z.array(z.object({ path: z.string(), message: z.string() })),
        z.record(z.string(), z.unknown()),
        z.null(),
      ])
      .openapi({
        description: 'For `validation_failed` each field and what is wrong with it; else an object, or null.',
      }),
    requestId: z.string().openapi({ description: 'Quote it when you ask for help.' }),
  })
  .openapi('Error')
export type ErrorBody = z.infer<typeof ErrorBody>

/** Turns whatever was thrown into an answer. What nobody declared is a 500 that tells nothing but the request's id. */
export function errorHandler(log: Log): ErrorHandler<Env> {
  return (thrown, c) => {
    const error = declared(thrown)
    if (error) return answer(c, error)
    log.error({ requestId: c.get('requestId'), operationId: c.get('operationId'), err: thrown }, 'unexpected error')
    return send(c, 500, { code: 'internal_error', message: 'Something went wrong on our side.', details: null })
  }
}

export function answer(c: RequestContext, error: ProductError): Response {
  if (error.retryAfterSeconds !== undefined) c.header('Retry-After', String(error.retryAfterSeconds))
  if (error.kind === 'unauthenticated') c.header('WWW-Authenticate', 'Bearer') // RFC 6750 §3
  return send(c, STATUS_OF_KIND[error.kind], { code: error.code, message: error.message, details: error.details })
}

function send(c: RequestContext, status: number, said: { code: string; message: string; details: unknown }): Response {
  const error = REASON_OF_STATUS[status] ?? 'Error'
  return c.json({ statusCode: status, error, ...said, requestId: c.get('requestId') }, status as 500)
}

/** zod-openapi reports malformed JSON and a wrong content type by Hono's own exception, not through the hook. */
function declared(thrown: unknown): ProductError | null {
  if (thrown instanceof ProductError) return thrown
  if (!(thrown instanceof HTTPException)) return null
  if (thrown.status === 400) return new MalformedJson()
  if (thrown.status === 415) return new UnsupportedMediaType()
  return null
}
