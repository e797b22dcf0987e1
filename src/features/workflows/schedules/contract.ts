import { z } from '@hono/zod-openapi'
import {
  AgentNotFound,
  DagNotFound,
  ProviderNotConfigured,
  ScheduleInvalid,
  ScheduleNotFound,
  TooManySchedules,
  UnpricedModel,
} from '#desiagent/errors.ts'
import { MISSED_RUN_POLICIES, OCCURRENCE_STATUSES, OVERLAP_POLICIES } from '#desiagent/schedules/schedule.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { IdParam } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { CronSchedule, Timezone } from '../dags/contract.ts'
import { ExecutionLimits, GoalText, Inputs, ModelParams } from '../schemas.ts'

const tags = ['Schedules']

const OverlapPolicy = z.enum(OVERLAP_POLICIES).openapi({
  description:
    'When it comes up while an execution it began is pending, running, waiting or paused: `skip` begins none, `enqueue` begins it when the ' +
    'others have come to rest (at most 100 wait), `cancel_previous` cancels them first. A suspended one rests and holds nothing up.',
})
const MissedRunPolicy = z.enum(MISSED_RUN_POLICIES).openapi({
  description:
    'What passed by more than a minute ago while no server could begin it: `skip` begins none of it, `once` the newest unless ' +
    'another one has come up since, `all` the newest `maxMissedRuns`. They begin one after the other, by the overlap policy: `all` is meant for `enqueue`.',
})
const MaxMissedRuns = z.int().min(1).max(100)

/** They are shown with the schedule, also in lists. */
const MAX_INPUTS_LENGTH = 100_000

function isSmall(inputs: readonly { content: string }[]): boolean {
  return inputs.reduce((sum, { content }) => sum + content.length, 0) <= MAX_INPUTS_LENGTH
}

const ScheduledGoal = z
  .strictObject({
    goalText: GoalText,
    agentName: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .openapi({ description: 'Who plans. The active `planner` when left out.' }),
    inputs: Inputs.refine(isSmall, `At most ${MAX_INPUTS_LENGTH} characters in all.`).optional(),
    ...ModelParams,
  })
  .openapi('ScheduledGoal', { description: 'A goal that is planned anew each time.' })

export const Schedule = z
  .object({
    id: z.uuid(),
    dagId: z.uuid().nullable().openapi({ description: 'Whose plan is executed; null: a goal is planned each time.' }),
    goal: z.union([ScheduledGoal, z.null()]),
    cronSchedule: z.string(),
    timezone: z.string(),
    scheduleActive: z.boolean(),
    scheduleDescription: z.string().openapi({ description: 'The schedule in words.' }),
    overlapPolicy: OverlapPolicy,
    missedRunPolicy: MissedRunPolicy,
    maxMissedRuns: MaxMissedRuns,
    limits: z.union([ExecutionLimits, z.null()]),
    nextRunAt: z.iso.datetime().nullable().openapi({ description: 'Null when it is not active.' }),
    lastRunAt: z.iso.datetime().nullable().openapi({ description: 'When it last began an execution.' }),
    createdBy: z.uuid().nullable().openapi({ description: 'The user who made it; null for a service key.' }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Schedule')
export type Schedule = z.infer<typeof Schedule>

export const ScheduleOccurrence = z
  .object({
    id: z.uuid(),
    scheduleId: z.uuid(),
    scheduledAt: z.iso.datetime(),
    status: z.enum(OCCURRENCE_STATUSES),
    reason: z
      .union([z.object({ code: z.string(), message: z.string() }), z.null()])
      .openapi({ description: 'Why nothing was begun, or what it waits for.' }),
    missedCount: z
      .int()
      .openapi({ description: 'Of a row that stands for missed moments up to its own: how many, at least. Else 0.' }),
    dagId: z.uuid().nullable(),
    executionId: z.uuid().nullable(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('ScheduleOccurrence')
export type ScheduleOccurrence = z.infer<typeof ScheduleOccurrence>

const ScheduledRun = z
  .object({
    at: z.iso.datetime(),
    localTime: z.iso.datetime({ offset: true }).openapi({ description: 'The same moment in the time zone.' }),
    clockChange: z
      .enum(['gap', 'overlap'])
      .nullable()
      .openapi({
        description:
          '`gap`: its time of day does not exist on this day, because the clock is put forward; it comes up at the first moment after the gap. ' +
          '`overlap`: its time of day exists twice, because the clock is put back; fixed times come up the first time only, those that ' +
          'repeat through the hours both times.',
      }),
  })
  .openapi('ScheduledRun')

export const CreateSchedule = z
  .strictObject({
    dagId: z.uuid().optional().openapi({ description: 'Executes the plan of this DAG. Either this or `goal`.' }),
    goal: ScheduledGoal.optional(),
    cronSchedule: CronSchedule,
    timezone: Timezone.optional(),
    scheduleActive: z.boolean().default(true),
    overlapPolicy: OverlapPolicy.default('skip'),
    missedRunPolicy: MissedRunPolicy.default('once'),
    maxMissedRuns: MaxMissedRuns.default(10),
    limits: ExecutionLimits.optional().openapi({
      description: 'Of each execution; for a goal, of its planning as well.',
    }),
  })
  .refine(({ dagId, goal }) => (dagId === undefined) !== (goal === undefined), {
    message: 'Send either dagId or goal.',
    path: ['dagId'],
  })
  .openapi('CreateSchedule')
export type CreateSchedule = z.infer<typeof CreateSchedule>

export const UpdateSchedule = z
  .strictObject({
    goal: ScheduledGoal.optional().openapi({ description: 'Only for a schedule of a goal.' }),
    cronSchedule: CronSchedule.optional(),
    timezone: Timezone.optional(),
    scheduleActive: z.boolean().optional(),
    overlapPolicy: OverlapPolicy.optional(),
    missedRunPolicy: MissedRunPolicy.optional(),
    maxMissedRuns: MaxMissedRuns.optional(),
    limits: z.union([ExecutionLimits, z.null()]).optional().openapi({ description: 'Null takes them away.' }),
  })
  .openapi('UpdateSchedule')
export type UpdateSchedule = z.infer<typeof UpdateSchedule>

/** Years beyond are no use to anybody, and libraries differ about them. */
function isOurTime(moment: string): boolean {
  const year = new Date(moment).getUTCFullYear()
  return year >= 1970 && year <= 2999
}

export const PreviewSchedule = z
  .strictObject({
    cronSchedule: CronSchedule,
    timezone: Timezone.optional(),
    from: z.iso
      .datetime({ offset: true })
      .refine(isOurTime, 'From 1970 to 2999.')
      .optional()
      .openapi({ description: 'Now when left out.' }),
    count: z.int().min(1).max(100).default(10),
  })
  .openapi('PreviewSchedule')
export type PreviewSchedule = z.infer<typeof PreviewSchedule>

const SchedulePreview = z
  .object({ scheduleDescription: z.string(), timezone: z.string(), runs: z.array(ScheduledRun) })
  .openapi('SchedulePreview')
export type SchedulePreview = z.infer<typeof SchedulePreview>

const ListSchedulesQuery = z.strictObject({
  ...PageQuery,
  dagId: z.uuid().optional(),
  active: z.enum(['true', 'false']).optional(),
})
export type ListSchedulesQuery = z.infer<typeof ListSchedulesQuery>

const ListOccurrencesQuery = z.strictObject({ ...PageQuery, status: z.enum(OCCURRENCE_STATUSES).optional() })
export type ListOccurrencesQuery = z.infer<typeof ListOccurrencesQuery>

const NextRunsQuery = z.strictObject({
  count: z.coerce.number().int().min(1).max(100).default(10).openapi({ type: 'integer', minimum: 1, maximum: 100 }),
})
const NextRuns = z.object({ data: z.array(ScheduledRun) }).openapi('NextRuns')

export const createSchedule = defineRoute({
  operationId: 'createSchedule',
  method: 'post',
  path: '/schedules',
  tags,
  scope: 'execute',
  home: 'tenant',
  isIdempotent: true,
  summary: 'Execute a DAG, or plan and execute a goal, again and again',
  description:
    'It belongs to the tenant, and goes on when whoever made it is gone. At most once a minute, in the time zone given. A tenant has at most 1,000 schedules. What a DAG shows as its own schedule is in the list, too, under the id of the DAG.',
  request: { body: { required: true, ...json(CreateSchedule, 'What, and when') } },
  responses: {
    201: json(Schedule, 'The schedule'),
    ...errors(
      DagNotFound,
      ScheduleNotFound,
      ScheduleInvalid,
      TooManySchedules,
      AgentNotFound,
      ProviderNotConfigured,
      UnpricedModel,
    ),
  },
})

export const listSchedules = defineRoute({
  operationId: 'listSchedules',
  method: 'get',
  path: '/schedules',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List schedules, newest first',
  request: { query: ListSchedulesQuery },
  responses: { 200: json(pageOf(Schedule).openapi('SchedulePage'), 'A page of schedules') },
})

export const previewSchedule = defineRoute({
  operationId: 'previewSchedule',
  method: 'post',
  path: '/schedules/preview',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Say in words and moments when a schedule would come up',
  description: 'Nothing is kept.',
  request: { body: { required: true, ...json(PreviewSchedule, 'The schedule') } },
  responses: { 200: json(SchedulePreview, 'When it would come up'), ...errors(ScheduleInvalid) },
})

export const getSchedule = defineRoute({
  operationId: 'getSchedule',
  method: 'get',
  path: '/schedules/{id}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get a schedule',
  request: { params: IdParam },
  responses: { 200: json(Schedule, 'The schedule'), ...errors(ScheduleNotFound) },
})

export const updateSchedule = defineRoute({
  operationId: 'updateSchedule',
  method: 'patch',
  path: '/schedules/{id}',
  tags,
  scope: 'execute',
  home: 'tenant',
  summary: 'Change a schedule; what is left out stays',
  description:
    'What had come up and was not begun yet stays as it is. A schedule that is activated again misses nothing: it begins with its next moment.',
  request: { params: IdParam, body: { required: true, ...json(UpdateSchedule, 'What to change') } },
  responses: {
    200: json(Schedule, 'The schedule'),
    ...errors(ScheduleNotFound, ScheduleInvalid, AgentNotFound, ProviderNotConfigured, UnpricedModel),
  },
})

export const deleteSchedule = defineRoute({
  operationId: 'deleteSchedule',
  method: 'delete',
  path: '/schedules/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Delete a schedule with its occurrences',
  description: 'Executions it began stay, and go on.',
  request: { params: IdParam },
  responses: { 204: { description: 'Deleted' }, ...errors(ScheduleNotFound) },
})

export const listNextRuns = defineRoute({
  operationId: 'listNextRuns',
  method: 'get',
  path: '/schedules/{id}/next-runs',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List the moments at which a schedule comes up next',
  description: 'Also of one that is not active: when it would.',
  request: { params: IdParam, query: NextRunsQuery },
  responses: { 200: json(NextRuns, 'The moments, soonest first'), ...errors(ScheduleNotFound) },
})

export const listOccurrences = defineRoute({
  operationId: 'listOccurrences',
  method: 'get',
  path: '/schedules/{id}/occurrences',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List what became of the moments at which a schedule came up',
  description: 'Newest first. The newest 1,000 of each schedule are kept.',
  request: { params: IdParam, query: ListOccurrencesQuery },
  responses: {
    200: json(pageOf(ScheduleOccurrence).openapi('ScheduleOccurrencePage'), 'A page of occurrences'),
    ...errors(ScheduleNotFound),
  },
})
