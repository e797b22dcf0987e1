import { z } from '@hono/zod-openapi'
import { AgentNotFound, ExperimentNotFound, ProviderNotConfigured } from '#desiagent/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { CreatedRange, IdParam } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { CostUsdMicros, GoalText, ModelName, Provider, Temperature, TokenUsage } from '../schemas.ts'

const tags = ['Experiments']

const MAX_TRIALS = 50

const TrialStatus = z.enum(['pending', 'running', 'success', 'clarification_required', 'validation_error', 'failed'])

const Trial = z
  .object({
    rank: z.int().nullable().openapi({
      description:
        'From 1, the best: a valid plan before none, then fewer tasks, fewer tokens, lower cost (an unknown one last), less time, then the order asked for. Null until it has ended.',
    }),
    model: z.string(),
    temperature: z.number(),
    status: TrialStatus,
    dagId: z.uuid().nullable(),
    error: z.union([z.object({ code: z.string(), message: z.string() }), z.null()]),
    taskCount: z.int().nullable(),
    usage: TokenUsage,
    costUsdMicros: CostUsdMicros,
    durationMs: z.int().nullable(),
  })
  .openapi('ExperimentTrial')

export const Experiment = z
  .object({
    id: z.uuid(),
    status: z.enum(['running', 'completed']),
    goalText: z.string(),
    agentName: z.string().nullable(),
    provider: z.string().nullable(),
    seed: z.int().nullable(),
    totalTrials: z.int(),
    endedTrials: z.int(),
    trials: z.array(Trial).openapi({ description: 'Ranked ones first, the best at the top.' }),
    createdBy: z.uuid().nullable(),
    completedAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Experiment')
export type Experiment = z.infer<typeof Experiment>

const ExperimentSummary = Experiment.omit({ trials: true }).openapi('ExperimentSummary')
export type ExperimentSummary = z.infer<typeof ExperimentSummary>

const distinct = (values: readonly unknown[]) => new Set(values).size === values.length

export const CreateExperiment = z
  .strictObject({
    goalText: GoalText,
    agentName: z
      .string()
      .min(1)
      .max(100)
      .optional()
      .openapi({ description: 'Who plans. The active `planner` when left out.' }),
    provider: Provider.optional(),
    models: z.array(ModelName).min(1).max(10).refine(distinct, 'A model is named twice.'),
    temperatures: z.array(Temperature).min(1).max(10).refine(distinct, 'A temperature is named twice.'),
    seed: z.int().optional(),
  })
  .refine(({ models, temperatures }) => models.length * temperatures.length <= MAX_TRIALS, {
    message: `Models times temperatures give more than ${MAX_TRIALS} trials.`,
    path: ['models'],
  })
  .openapi('CreateExperiment')
export type CreateExperiment = z.infer<typeof CreateExperiment>

const ListExperimentsQuery = z.strictObject({
  ...PageQuery,
  status: z.enum(['running', 'completed']).optional(),
  ...CreatedRange,
})
export type ListExperimentsQuery = z.infer<typeof ListExperimentsQuery>

export const createExperiment = defineRoute({
  operationId: 'createExperiment',
  method: 'post',
  path: '/dags/experiments',
  tags,
  scope: 'write',
  home: 'tenant',
  rateClass: 'execute',
  isIdempotent: true,
  summary: 'Plan a goal with each of several models and temperatures, and compare',
  description:
    'Each trial becomes a DAG of its own. Answers at once; ask `getExperiment` how it goes. It stays `running` while it waits: for its turn, or because a quota is used up.',
  request: { body: { required: true, ...json(CreateExperiment, 'The goal, the models and the temperatures') } },
  responses: {
    202: json(Experiment, 'The experiment, running'),
    ...errors(AgentNotFound, ProviderNotConfigured, QuotaExceeded),
  },
})

export const listExperiments = defineRoute({
  operationId: 'listExperiments',
  method: 'get',
  path: '/dags/experiments',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List experiments, newest first',
  request: { query: ListExperimentsQuery },
  responses: { 200: json(pageOf(ExperimentSummary).openapi('ExperimentPage'), 'A page of experiments') },
})

export const getExperiment = defineRoute({
  operationId: 'getExperiment',
  method: 'get',
  path: '/dags/experiments/{id}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get an experiment with its trials, ranked',
  request: { params: IdParam },
  responses: { 200: json(Experiment, 'The experiment'), ...errors(ExperimentNotFound) },
})
