import { z } from '@hono/zod-openapi'
import { defineRoute, json } from '#kit/http/contract.ts'

const tags = ['Operations']

const Health = z
  .object({
    status: z.literal('ok'),
    version: z.string(),
    uptime: z.number().openapi({ description: 'Seconds since the start.' }),
    timestamp: z.iso.datetime(),
  })
  .openapi('Health')

export const Readiness = z
  .object({
    status: z.enum(['ready', 'degraded', 'not_ready']),
    version: z.string(),
    uptime: z.number(),
    timestamp: z.iso.datetime(),
    dependencies: z.record(z.string(), z.enum(['ok', 'failed'])),
    provider: z.string().openapi({ description: 'The model provider that is used when nobody asks for another.' }),
    model: z.string(),
    scheduler: z.object({ runningExecutions: z.int(), queuedExecutions: z.int() }),
  })
  .openapi('Readiness')
export type Readiness = z.infer<typeof Readiness>

const liveness = {
  method: 'get',
  path: '/health',
  tags,
  scope: 'public',
  home: 'none',
  isUnlimited: true,
  summary: 'Tell that the process is alive',
  responses: { 200: json(Health, 'Alive') },
} as const

const readiness = {
  method: 'get',
  path: '/health/ready',
  tags,
  scope: 'public',
  home: 'none',
  isUnlimited: true,
  summary: 'Tell whether requests can be served',
  responses: { 200: json(Readiness, 'Ready, or degraded'), 503: json(Readiness, 'Not ready') },
} as const

export const getHealth = defineRoute({ ...liveness, tags, operationId: 'getHealth' })
export const getReadiness = defineRoute({ ...readiness, tags, operationId: 'getReadiness' })
export const getRootHealth = defineRoute({ ...liveness, tags, operationId: 'getRootHealth', isAtRoot: true })
export const getRootReadiness = defineRoute({ ...readiness, tags, operationId: 'getRootReadiness', isAtRoot: true })
