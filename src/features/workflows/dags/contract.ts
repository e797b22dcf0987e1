import { z } from '@hono/zod-openapi'
import {
  AgentNotFound,
  ClarificationNotAwaited,
  DagHasExecutions,
  DagIsPlanning,
  DagNotExecutable,
  DagNotFound,
  LimitReached,
  PlanInvalid,
  PlanningFailed,
  ProviderNotConfigured,
  ScheduleInvalid,
  TooManySchedules,
  UnpricedModel,
} from '#desiagent/errors.ts'
import { DecomposerJob } from '#desiagent/planner/decomposer-job.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { CreatedRange, IdParam, Search } from '#kit/http/filters.ts'
import { freeFormObject } from '#kit/http/free-form.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import {
  CostUsdMicros,
  ExecutionLimits,
  ExecutionStatus,
  GoalText,
  Inputs,
  ModelParams,
  PlanningAttempt,
  Title,
  TokenUsage,
} from '../schemas.ts'

const tags = ['DAGs']

export const DAG_STATUSES = ['planning', 'success', 'clarification_required', 'validation_error', 'failed'] as const

// Cloned, because zod-openapi gives its method only to schemas made after it was loaded.
const Plan = DecomposerJob.clone().openapi('DecomposerJob', { description: 'A plan: tasks, and what each waits for.' })

export const CronSchedule = z.string().trim().min(6).max(100).openapi({
  description: 'Five fields: minute, hour, day of month, month, day of week (crontab(5)); or a word such as `@daily`.',
  example: '30 8 * * 1-5',
})
export const Timezone = z.string().max(100).openapi({
  description: 'Name of the IANA time zone the schedule is meant in. UTC when left out.',
  example: 'Asia/Kolkata',
})

const Schedule = {
  cronSchedule: z.string().nullable(),
  scheduleActive: z.boolean().openapi({ description: 'Whether the schedule is to fire.' }),
  timezone: z.string(),
  scheduleDescription: z.string().nullable().openapi({ description: 'The schedule in words.' }),
  nextRunAt: z.iso.datetime().nullable().openapi({ description: 'Null without an active schedule.' }),
  lastRunAt: z.iso.datetime().nullable(),
}

export const Dag = z
  .object({
    id: z.uuid(),
    dagTitle: z.string(),
    status: z.enum(DAG_STATUSES),
    goalText: z.string(),
    agentName: z.string().nullable().openapi({ description: 'The planner; null when the plan was given.' }),
    agentVersion: z.string().nullable(),
    params: z.object(ModelParams),
    plan: z.union([Plan, z.null()]),
    clarificationQuery: z.string().nullable().openapi({ description: 'What the planner asks, when it asks.' }),
    error: z.union([
      z.object({ code: z.string(), message: z.string(), problems: z.array(z.string()).optional() }),
      z.null(),
    ]),
    attempts: z.int().openapi({ description: 'Calls made to the planner, failed ones included.' }),
    planning: z.object({ usage: TokenUsage, costUsdMicros: CostUsdMicros, attempts: z.array(PlanningAttempt) }),
    ...Schedule,
    createdBy: z.uuid().nullable().openapi({ description: 'The user who made it; null for a service key.' }),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Dag')
export type Dag = z.infer<typeof Dag>

export const CreateDag = z
  .strictObject({
    goalText: GoalText,
    agentName: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .openapi({ description: 'Who plans. The active `planner` when left out.' }),
    inputs: Inputs.optional(),
    ...ModelParams,
    cronSchedule: CronSchedule.optional(),
    scheduleActive: z
      .boolean()
      .optional()
      .openapi({ description: 'True when there is a schedule and this is left out.' }),
    timezone: Timezone.optional(),
  })
  .openapi('CreateDag')
export type CreateDag = z.infer<typeof CreateDag>

// From the fields, not by extending: a document that extends one without unknown fields refuses the new ones.
export const CreateExecute = z
  .strictObject({
    ...CreateDag.shape,
    limits: ExecutionLimits.optional().openapi({ description: 'For planning and execution together.' }),
  })
  .openapi('CreateExecute')
export type CreateExecute = z.infer<typeof CreateExecute>

export const ExecuteDag = z
  .strictObject({
    limits: ExecutionLimits.optional().openapi({ description: 'Planning, which is done, does not count.' }),
  })
  .openapi('ExecuteDag')
export type ExecuteDag = z.infer<typeof ExecuteDag>

const PlannedDag = z.object({ status: z.literal('success'), dagId: z.uuid(), dag: Dag }).openapi('PlannedDag')
const ClarificationRequired = z
  .object({ status: z.literal('clarification_required'), dagId: z.uuid(), clarificationQuery: z.string(), dag: Dag })
  .openapi('ClarificationRequired')

const StartedExecution = z
  .object({ id: z.uuid(), dagId: z.uuid().nullable(), status: ExecutionStatus })
  .openapi('StartedExecution')
const ExecutingDag = z
  .object({ status: z.literal('executing'), dagId: z.uuid(), executionId: z.uuid(), dag: Dag })
  .openapi('ExecutingDag')

export const UpdateDag = z
  .strictObject({
    dagTitle: Title.optional(),
    params: z.strictObject(ModelParams).optional(),
    plan: freeFormObject().optional().openapi({ description: 'A DecomposerJob; checked as a planned one is.' }),
    cronSchedule: CronSchedule.nullable().optional().openapi({ description: 'Null takes the schedule away.' }),
    scheduleActive: z.boolean().optional(),
    timezone: Timezone.optional(),
  })
  .openapi('UpdateDag')
export type UpdateDag = z.infer<typeof UpdateDag>

export const ExecuteDefinition = z
  .strictObject({
    definition: freeFormObject().openapi({ description: 'A DecomposerJob; checked as a planned one is.' }),
    title: Title.optional(),
    provider: ModelParams.provider,
    model: ModelParams.model,
    limits: ExecutionLimits.optional(),
  })
  .openapi('ExecuteDefinition')
export type ExecuteDefinition = z.infer<typeof ExecuteDefinition>

const ResumeClarification = z.strictObject({ userResponse: GoalText }).openapi('ResumeClarification')

const ListDagsQuery = z.strictObject({
  ...PageQuery,
  status: z.enum(DAG_STATUSES).optional(),
  agentName: z.string().max(100).optional().openapi({ description: 'The planner.' }),
  search: Search.openapi({
    description:
      'Words of the title or the goal, whole or their beginnings, in any order. Of the two together the first 60 different ' +
      'words of the first 2,000 characters are found.',
  }),
  ...CreatedRange,
})
export type ListDagsQuery = z.infer<typeof ListDagsQuery>

const ListScheduledDagsQuery = z.strictObject({
  ...PageQuery,
  active: z
    .enum(['true', 'false'])
    .optional()
    .openapi({ description: 'Only those whose schedule is to fire, or is not.' }),
})
export type ListScheduledDagsQuery = z.infer<typeof ListScheduledDagsQuery>

const PLANNING_ERRORS = [
  AgentNotFound,
  ProviderNotConfigured,
  PlanInvalid,
  PlanningFailed,
  DagIsPlanning,
  ScheduleInvalid,
  TooManySchedules,
  QuotaExceeded,
] as const
const planned = {
  201: json(PlannedDag, 'There is a plan'),
  202: json(ClarificationRequired, 'The planner asks a question first; answer it with `resumeClarification`'),
}

export const createDag = defineRoute({
  operationId: 'createDag',
  method: 'post',
  path: '/dags',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'execute',
  isIdempotent: true,
  summary: 'Plan a goal',
  description:
    'Answers when planning has ended. Every attempt is kept with its reason, usage and cost, also when no valid plan came out.',
  request: { body: { required: true, ...json(CreateDag, 'The goal, and what goes along with it') } },
  responses: { ...planned, ...errors(...PLANNING_ERRORS) },
})

export const resumeClarification = defineRoute({
  operationId: 'resumeClarification',
  method: 'post',
  path: '/dags/{id}/resume-clarification',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'execute',
  isIdempotent: true,
  summary: "Answer the planner's question and plan again",
  request: { params: IdParam, body: { required: true, ...json(ResumeClarification, 'The answer') } },
  responses: {
    ...planned,
    ...errors(
      DagNotFound,
      DagIsPlanning,
      ClarificationNotAwaited,
      AgentNotFound,
      ProviderNotConfigured,
      PlanInvalid,
      PlanningFailed,
      QuotaExceeded,
    ),
  },
})

export const createExecute = defineRoute({
  operationId: 'createExecute',
  method: 'post',
  path: '/create-execute',
  tags,
  scope: 'execute',
  home: 'tenant',
  rateClass: 'execute',
  isIdempotent: true,
  summary: 'Plan a goal and execute the plan',
  request: { body: { required: true, ...json(CreateExecute, 'The goal, and what goes along with it') } },
  responses: {
    202: json(
      z.union([ExecutingDag, ClarificationRequired, PlannedDag]),
      'It is running, or the planner asks a question first. `success` only for a repeat: of a call whose question has been answered since, or that found no room for the execution. Execute the DAG with `executeDag` then',
    ),
    ...errors(...PLANNING_ERRORS, UnpricedModel, LimitReached),
  },
})

export const executeDefinition = defineRoute({
  operationId: 'executeDefinition',
  method: 'post',
  path: '/dags/execute-definition',
  tags,
  scope: 'execute',
  home: 'tenant',
  rateClass: 'execute',
  isIdempotent: true,
  summary: 'Execute a plan that you bring',
  request: { body: { required: true, ...json(ExecuteDefinition, 'The plan') } },
  responses: {
    202: json(StartedExecution, 'The execution'),
    ...errors(PlanInvalid, ProviderNotConfigured, QuotaExceeded, UnpricedModel),
  },
})

export const listDags = defineRoute({
  operationId: 'listDags',
  method: 'get',
  path: '/dags',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List DAGs, newest first',
  request: { query: ListDagsQuery },
  responses: { 200: json(pageOf(Dag).openapi('DagPage'), 'A page of DAGs') },
})

export const listScheduledDags = defineRoute({
  operationId: 'listScheduledDags',
  method: 'get',
  path: '/dags/scheduled',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List the DAGs that have a schedule, newest first',
  request: { query: ListScheduledDagsQuery },
  responses: { 200: json(pageOf(Dag).openapi('ScheduledDagPage'), 'A page of DAGs') },
})

export const getDag = defineRoute({
  operationId: 'getDag',
  method: 'get',
  path: '/dags/{id}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get a DAG with its plan',
  request: { params: IdParam },
  responses: { 200: json(Dag, 'The DAG'), ...errors(DagNotFound) },
})

export const updateDag = defineRoute({
  operationId: 'updateDag',
  method: 'patch',
  path: '/dags/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Change title, parameters, plan or schedule; what is left out stays',
  request: { params: IdParam, body: { required: true, ...json(UpdateDag, 'What to change') } },
  responses: {
    200: json(Dag, 'The DAG'),
    ...errors(DagNotFound, DagIsPlanning, PlanInvalid, ProviderNotConfigured, ScheduleInvalid, TooManySchedules),
  },
})

export const deleteDag = defineRoute({
  operationId: 'deleteDag',
  method: 'delete',
  path: '/dags/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Delete a DAG that has no executions',
  description: 'Its schedules go with it.',
  request: { params: IdParam },
  responses: { 204: { description: 'Deleted' }, ...errors(DagNotFound, DagHasExecutions, DagIsPlanning) },
})

export const executeDag = defineRoute({
  operationId: 'executeDag',
  method: 'post',
  path: '/dags/{id}/execute',
  tags,
  scope: 'execute',
  home: 'tenant',
  rateClass: 'execute',
  isIdempotent: true,
  hasOptionalBody: true,
  summary: "Execute a DAG's plan",
  request: { params: IdParam, body: { required: false, ...json(ExecuteDag, 'Limits, if wanted') } },
  responses: {
    202: json(StartedExecution, 'The execution; follow it with `followExecution`'),
    ...errors(DagNotFound, DagNotExecutable, PlanInvalid, ProviderNotConfigured, QuotaExceeded, UnpricedModel),
  },
})
