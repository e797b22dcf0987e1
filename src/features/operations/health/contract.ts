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
    status: z.enum(['ready', 'degraded', 'not_ready']).openapi({
      description:
        '`not_ready` (503) when a database or the disk fails: no request can be served. `degraded` (200) when only the ' +
        'model provider or the scheduler fails: what needs neither goes on.',
    }),
    version: z.string(),
    uptime: z.number(),
    timestamp: z.iso.datetime(),
    dependencies: z.record(z.string(), z.enum(['ok', 'failed'])).openapi({
      description:
        '`controlDatabase`: answers a query; `tenantDatabase`: the newest active tenant’s can be opened, or there is none; ' +
        '`modelProvider`: takes our key (asked at most once a minute); `scheduler`: looked for due work in the last three ' +
        'minutes; `disk`: has room. Why one fails is in the log only.',
    }),
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
