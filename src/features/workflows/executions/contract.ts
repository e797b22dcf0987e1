import { z } from '@hono/zod-openapi'
import {
  ExecutionActive,
  ExecutionEnded,
  ExecutionNotFound,
  ExecutionNotPausable,
  ExecutionNotResumable,
  SubStepNotFound,
  SubStepNotRetryable,
} from '#desiagent/errors.ts'
import { ExecutionDelta as Delta, ExecutionEvent as Event } from '#desiagent/events.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { TooManyStreams } from '#kit/http/errors.ts'
import { CreatedRange, IdParam, Search } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { CostUsdMicros, ExecutionLimits, ExecutionStatus, TokenUsage } from '../schemas.ts'

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
    pauseRequestedAt: moment.openapi({ description: 'It pauses when the sub-steps in flight have ended.' }),
    limits: z.union([ExecutionLimits, z.null()]),
    limitsUsed: z
      .union([z.object({ costUsdMicros: count, tokens: count, steps: count, wallMs: count }), z.null()])
      .openapi({
        description:
          'What counts against the limits, in their units; null without limits. Of a call whose use nobody knows, the most it can have been.',
      }),
    scheduleId: z.uuid().nullable().openapi({ description: 'The schedule that began it.' }),
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
    toolArguments: z
      .union([z.record(z.string(), z.unknown()), z.null()])
      .openapi({ description: 'What the tool was last called with: its parameters with references filled in.' }),
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
const ExecutionDelta = Delta.clone().openapi('ExecutionDelta', {
  description:
    'A piece of what a model is saying right now: told live, never stored, without an `id`. `taskId` is null for the synthesis. Pieces ' +
    'of one `attempt` follow each other; `offset` is how many UTF-16 code units came before.',
})
const StreamTicket = z.object({ ticket: z.string(), expiresAt: z.iso.datetime() }).openapi('StreamTicket')
const SubStepParams = z.object({ id: z.uuid(), subStepId: z.uuid() })

export const ResumeExecution = z
  .strictObject({
    limits: ExecutionLimits.optional().openapi({
      description:
        'Takes the place of the limits it had; `{}` takes them away. What was used so far still counts. Not for one that is about to pause: it has to rest first.',
    }),
  })
  .openapi('ResumeExecution')
export type ResumeExecution = z.infer<typeof ResumeExecution>

const seq = z.coerce.number().int().min(0).max(999_999_999)
const eventNumber = { type: 'integer', minimum: 0, maximum: 999_999_999 } as const

export const EventsQuery = z.strictObject({
  after: seq.optional().openapi({
    ...eventNumber,
    description: 'The number of the last event you have; as `Last-Event-ID`, which wins when both are sent.',
  }),
  include: z.enum(['deltas']).optional().openapi({
    description:
      'Also tells what models are saying, piece by piece, as events of the name `execution:delta`. Streams only.',
  }),
  ticket: z
    .string()
    .max(1_000)
    .optional()
    .openapi({ description: 'From `createStreamTicket`, in the place of a key.' }),
  limit: PageQuery.limit,
  cursor: z
    .string()
    .regex(/^\d{1,9}$/)
    .optional()
    .openapi({ description: '`nextCursor` of the page before. Pages only; not with `after`.' }),
  includeTotal: PageQuery.includeTotal,
})
export type EventsQuery = z.infer<typeof EventsQuery>

const ListExecutionsQuery = z.strictObject({
  ...PageQuery,
  status: ExecutionStatus.optional(),
  dagId: z.uuid().optional(),
  scheduleId: z.uuid().optional().openapi({ description: 'Only those this schedule began.' }),
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
  takesTicket: true,
  summary: 'Follow what happens, as Server-Sent Events or page by page',
  description:
    'As a stream, each event of the log once, in order: `id` is its number, `event` its type, `data` the event. Send the last `id` you saw as ' +
    '`Last-Event-ID` (or `?after=`) to go on from there, during a run, after it and across restarts. A comment every 15 s keeps the ' +
    'connection alive. The stream closes after completed, failed, cancelled or suspended. With `Accept: application/json` the same log ' +
    'comes in pages, the oldest event first. Both a key and a ticket let you in.',
  request: {
    params: IdParam,
    query: EventsQuery,
    headers: z.object({
      'last-event-id': z
        .string()
        .regex(/^\d{1,9}$/, 'The id of an event: a whole number.')
        .optional()
        .openapi({ description: 'The last event you have; the stream begins behind it.' }),
    }),
  },
  responses: {
    200: {
      description: 'The stream, or a page of the log',
      content: {
        'text/event-stream': { schema: z.union([ExecutionEvent, ExecutionDelta]) },
        'application/json': { schema: pageOf(ExecutionEvent).openapi('ExecutionEventPage') },
      },
    },
    204: { description: 'The execution rests and you have seen it all' },
    ...errors(ExecutionNotFound, TooManyStreams),
  },
})

export const createStreamTicket = defineRoute({
  operationId: 'createStreamTicket',
  method: 'post',
  path: '/executions/{id}/stream-ticket',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get a ticket for the event stream of one execution',
  description:
    'For `EventSource` in a browser, which cannot send a key: `GET /executions/{id}/events?ticket=…`. A ticket opens the events of this ' +
    'execution for a minute; a stream that was opened with it goes on for as long as the key that asked for it is good.',
  request: { params: IdParam },
  responses: { 201: json(StreamTicket, 'The ticket'), ...errors(ExecutionNotFound) },
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

export const pauseExecution = defineRoute({
  operationId: 'pauseExecution',
  method: 'post',
  path: '/executions/{id}/pause',
  tags,
  scope: 'execute',
  home: 'tenant',
  summary: 'Let an execution rest until it is resumed',
  description:
    'Sub-steps in flight end and are kept; nothing more begins. Until then it runs on with `pauseRequestedAt` set. Pausing twice answers the same.',
  request: { params: IdParam },
  responses: { 202: json(Execution, 'The execution'), ...errors(ExecutionNotFound, ExecutionNotPausable) },
})

export const resumeExecution = defineRoute({
  operationId: 'resumeExecution',
  method: 'post',
  path: '/executions/{id}/resume',
  tags,
  scope: 'execute',
  home: 'tenant',
  rateClass: 'execute',
  hasOptionalBody: true,
  summary: 'Go on with what has not completed',
  description:
    'For paused, suspended, partial and failed executions, and for one that is about to pause. Completed sub-steps are not run again.',
  request: { params: IdParam, body: { required: false, ...json(ResumeExecution, 'Other limits, if wanted') } },
  responses: {
    202: json(Execution, 'The execution'),
    ...errors(ExecutionNotFound, ExecutionNotResumable, QuotaExceeded),
  },
})

export const retrySubStep = defineRoute({
  operationId: 'retrySubStep',
  method: 'post',
  path: '/executions/{id}/sub-steps/{subStepId}/retry',
  tags,
  scope: 'execute',
  home: 'tenant',
  rateClass: 'execute',
  summary: 'Run one sub-step again, and what depends on it',
  description:
    'For a completed or failed sub-step of an execution that rests. It, every sub-step that depends on it, and the synthesis are run again ' +
    'with new idempotency keys; all others keep their results.',
  request: { params: SubStepParams },
  responses: {
    202: json(Execution, 'The execution'),
    ...errors(ExecutionNotFound, SubStepNotFound, SubStepNotRetryable, QuotaExceeded),
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
