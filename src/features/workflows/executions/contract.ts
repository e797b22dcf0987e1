import { z } from '@hono/zod-openapi'
import { ExecutionActive, ExecutionEnded, ExecutionNotFound, ExecutionNotResumable } from '#desiagent/errors.ts'
import { ExecutionEvent as Event } from '#desiagent/events.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { TooManyStreams } from '#kit/http/errors.ts'
import { CreatedRange, IdParam, Search } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { CostUsdMicros, ExecutionStatus, TokenUsage } from '../schemas.ts'

const tags = ['Executions']

const count = z.int().min(0)
const moment = z.iso.datetime().nullable()

export const Execution = z
  .object({
    id: z.uuid(),
    dagId: z.uuid().nullable(),
    dagTitle: z.string(),
    originalRequest: z.string(),
    primaryIntent: z.string(),
    status: ExecutionStatus,
    startedAt: moment,
    completedAt: moment,
    durationMs: z.int().nullable(),
    totalTasks: count,
    completedTasks: count,
    failedTasks: count,
    waitingTasks: count,
    skippedTasks: count,
    finalResult: z.string().nullable(),
    synthesisResult: z.string().nullable(),
    suspendedReason: z.string().nullable(),
    suspendedAt: moment,
    createdBy: z.uuid().nullable().openapi({ description: 'The user who began it; null for a service key.' }),
    retryCount: count,
    lastRetryAt: moment,
    totalUsage: TokenUsage,
    costUsdMicros: CostUsdMicros,
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Execution')
export type Execution = z.infer<typeof Execution>

export const SubStep = z
  .object({
    id: z.uuid(),
    executionId: z.uuid(),
    taskId: z.string(),
    description: z.string(),
    thought: z.string(),
    actionType: z.enum(['tool', 'inference', 'skill']),
    toolOrPromptName: z.string(),
    toolOrPromptParams: z.record(z.string(), z.unknown()),
    dependencies: z.array(z.string()),
    status: z.enum(['pending', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled', 'deleted']),
    startedAt: moment,
    completedAt: moment,
    durationMs: z.int().nullable(),
    result: z.unknown().openapi({ description: 'Whatever the tool or agent gave; null until it has completed.' }),
    error: z.union([z.object({ message: z.string(), code: z.string().optional() }), z.null()]),
    usage: TokenUsage,
    costUsdMicros: CostUsdMicros,
    provider: z.string().nullable(),
    model: z.string().nullable(),
    attempt: count.openapi({ description: 'Calls made for it so far.' }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('SubStep')
export type SubStep = z.infer<typeof SubStep>

const ExecutionDetails = Execution.extend({ subSteps: z.array(SubStep) }).openapi('ExecutionDetails')
const SubSteps = z.object({ executionId: z.uuid(), data: z.array(SubStep) }).openapi('SubSteps')
// Cloned, because zod-openapi gives its method only to schemas made after it was loaded.
const ExecutionEvent = Event.clone().openapi('ExecutionEvent')

const ListExecutionsQuery = z.strictObject({
  ...PageQuery,
  status: ExecutionStatus.optional(),
  dagId: z.uuid().optional(),
  search: Search.openapi({
    description:
      'Words of the title or goal of its DAG, whole or their beginnings, in any order. Of the two together the first 60 ' +
      'different words of the first 2,000 characters are found.',
  }),
  ...CreatedRange,
})
export type ListExecutionsQuery = z.infer<typeof ListExecutionsQuery>

export const listExecutions = defineRoute({
  operationId: 'listExecutions',
  method: 'get',
  path: '/executions',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List executions, newest first',
  request: { query: ListExecutionsQuery },
  responses: { 200: json(pageOf(Execution).openapi('ExecutionPage'), 'A page of executions') },
})

export const getExecution = defineRoute({
  operationId: 'getExecution',
  method: 'get',
  path: '/executions/{id}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get an execution',
  request: { params: IdParam },
  responses: { 200: json(Execution, 'The execution'), ...errors(ExecutionNotFound) },
})

export const getExecutionDetails = defineRoute({
  operationId: 'getExecutionDetails',
  method: 'get',
  path: '/executions/{id}/details',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get an execution with its sub-steps',
  request: { params: IdParam },
  responses: {
    200: json(ExecutionDetails, 'The execution, its sub-steps in the order of the plan'),
    ...errors(ExecutionNotFound),
  },
})

export const listSubSteps = defineRoute({
  operationId: 'listSubSteps',
  method: 'get',
  path: '/executions/{id}/sub-steps',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List the sub-steps of an execution',
  description: 'In the order of the plan; a plan has at most 100 tasks, so there are no pages.',
  request: { params: IdParam },
  responses: { 200: json(SubSteps, 'The sub-steps'), ...errors(ExecutionNotFound) },
})

export const followExecution = defineRoute({
  operationId: 'followExecution',
  method: 'get',
  path: '/executions/{id}/events',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Follow what happens, as Server-Sent Events',
  description:
    'Each event of the log once, in order: `id` is its number, `event` its type, `data` the event. Send the last `id` you saw as ' +
    '`Last-Event-ID` to go on from there, during a run, after it and across restarts. A comment every 15 s keeps the connection ' +
    'alive. The stream closes after completed, failed, cancelled or suspended.',
  request: {
    params: IdParam,
    headers: z.object({
      'last-event-id': z
        .string()
        .regex(/^\d{1,9}$/, 'The id of an event: a whole number.')
        .optional()
        .openapi({ description: 'The last event you have; the stream begins behind it.' }),
    }),
  },
  responses: {
    200: { description: 'The stream', content: { 'text/event-stream': { schema: ExecutionEvent } } },
    204: { description: 'The execution has ended and you have seen it all' },
    ...errors(ExecutionNotFound, TooManyStreams),
  },
})

export const cancelExecution = defineRoute({
  operationId: 'cancelExecution',
  method: 'post',
  path: '/executions/{id}/cancel',
  tags,
  scope: 'execute',
  home: 'tenant',
  summary: 'Stop an execution for good',
  description: 'Calls in flight are aborted. Cancelling twice answers the same.',
  request: { params: IdParam },
  responses: { 200: json(Execution, 'The cancelled execution'), ...errors(ExecutionNotFound, ExecutionEnded) },
})

export const resumeExecution = defineRoute({
  operationId: 'resumeExecution',
  method: 'post',
  path: '/executions/{id}/resume',
  tags,
  scope: 'execute',
  home: 'tenant',
  rateClass: 'execute',
  summary: 'Go on with what has not completed',
  description: 'For suspended, partial and failed executions. Completed sub-steps are not run again.',
  request: { params: IdParam },
  responses: {
    202: json(Execution, 'The execution'),
    ...errors(ExecutionNotFound, ExecutionNotResumable, QuotaExceeded),
  },
})

export const deleteExecution = defineRoute({
  operationId: 'deleteExecution',
  method: 'delete',
  path: '/executions/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Delete an execution with its sub-steps, events and artifacts',
  description: 'What it used stays in the ledger.',
  request: { params: IdParam },
  responses: { 204: { description: 'Deleted' }, ...errors(ExecutionNotFound, ExecutionActive) },
})
