import { z } from '@hono/zod-openapi'
import { defineRoute, json } from '#kit/http/contract.ts'

const RateLimitState = z
  .object({
    windowSeconds: z.int(),
    limits: z.array(
      z.object({
        name: z.enum(['api', 'auth', 'execute', 'tenant']).openapi({
          description:
            '`api`: all calls of this key; `auth`: those that make or end credentials; `execute`: those that plan or start work; ' +
            '`tenant`: all calls of all keys of the tenant, when it has a ceiling.',
        }),
        limit: z.int(),
        remaining: z.int(),
        resetAt: z.iso
          .datetime()
          .nullable()
          .openapi({ description: 'When the oldest counted call is forgotten; null when none is counted.' }),
      }),
    ),
  })
  .openapi('RateLimitState')

export const getRateLimit = defineRoute({
  operationId: 'getRateLimit',
  method: 'get',
  path: '/rate-limit',
  tags: ['Operations'],
  scope: 'any',
  home: 'caller',
  summary: 'Tell how much of its limits the presented key has left',
  description: 'Never more than `limit` calls in any `windowSeconds`. This call counts against `api` itself.',
  responses: { 200: json(RateLimitState, 'The limits') },
})
