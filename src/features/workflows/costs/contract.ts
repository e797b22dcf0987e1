import { z } from '@hono/zod-openapi'
import { DagNotFound, ExecutionNotFound } from '#desiagent/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { IdParam } from '#kit/http/filters.ts'
import { CostUsdMicros, ExecutionStatus, PlanningAttempt, TokenUsage } from '../schemas.ts'

const Spent = z.object({ usage: TokenUsage, costUsdMicros: CostUsdMicros })

const Unpriced = z.object({ provider: z.string(), model: z.string(), calls: z.int() })
const UNPRICED = {
  description: 'Calls whose cost is not known: no price for the model, or the connection broke before the count came.',
}

export const ExecutionCost = z
  .object({
    executionId: z.uuid(),
    dagId: z.uuid().nullable(),
    status: ExecutionStatus,
    planning: Spent.extend({ attempts: z.array(PlanningAttempt) }),
    execution: Spent.extend({
      subSteps: z.array(
        Spent.extend({
          id: z.uuid(),
          taskId: z.string(),
          actionType: z.enum(['tool', 'inference', 'skill']),
          toolOrPromptName: z.string(),
          provider: z.string().nullable(),
          model: z.string().nullable(),
        }),
      ),
      synthesis: Spent,
    }),
    totals: z.object({
      planningCostUsdMicros: CostUsdMicros,
      executionCostUsdMicros: CostUsdMicros,
      grandTotalCostUsdMicros: CostUsdMicros,
    }),
    unpriced: z.array(Unpriced.extend({ purpose: z.string(), taskId: z.string().nullable() })).openapi(UNPRICED),
    priceVersion: z.string().openapi({ description: 'The price list its first call was priced by.' }),
  })
  .openapi('ExecutionCost')

export const getExecutionCost = defineRoute({
  operationId: 'getExecutionCost',
  method: 'get',
  path: '/costs/executions/{id}',
  tags: ['Costs'],
  scope: 'read',
  home: 'tenant',
  summary: 'Get what an execution cost, by planning attempt, sub-step and synthesis',
  request: { params: IdParam },
  responses: {
    200: json(ExecutionCost, 'The breakdown; its parts add up to its totals'),
    ...errors(ExecutionNotFound),
  },
})

export const DagCost = z
  .object({
    dagId: z.uuid(),
    planning: Spent.extend({ calls: z.int(), attempts: z.array(PlanningAttempt) }),
    executions: Spent.extend({ calls: z.int(), count: z.int() }).openapi({
      description: 'All its executions together, deleted ones included.',
    }),
    models: z.array(Spent.extend({ provider: z.string(), model: z.string(), calls: z.int() })),
    totals: z.object({
      planningCostUsdMicros: CostUsdMicros,
      executionCostUsdMicros: CostUsdMicros,
      grandTotalCostUsdMicros: CostUsdMicros,
    }),
    unpriced: z.array(Unpriced).openapi(UNPRICED),
    priceVersions: z.array(z.string()).openapi({ description: 'The price lists its calls were priced by.' }),
  })
  .openapi('DagCost')
export type DagCost = z.infer<typeof DagCost>

export const getDagCost = defineRoute({
  operationId: 'getDagCost',
  method: 'get',
  path: '/costs/dags/{id}',
  tags: ['Costs'],
  scope: 'read',
  home: 'tenant',
  summary: 'Get what planning a DAG and all its executions cost',
  request: { params: IdParam },
  responses: { 200: json(DagCost, 'The breakdown; its parts add up to its totals'), ...errors(DagNotFound) },
})

export const COST_GROUPS = ['day', 'week', 'month', 'model', 'agent', 'user'] as const

const Sum = Spent.extend({
  calls: z.int(),
  unpricedCalls: z.int().openapi({ description: 'Calls whose cost is not known.' }),
  knownCostUsdMicros: z.int().openapi({ description: 'What is known of the cost, also when a part of it is not.' }),
})

export const CostSummary = z
  .object({
    from: z.iso.datetime(),
    before: z.iso.datetime(),
    groupBy: z.enum(COST_GROUPS),
    totals: Sum,
    groups: z
      .array(
        Sum.extend({
          key: z
            .string()
            .nullable()
            .openapi({
              description:
                'The day (`2026-11-20`), the week (`2026-W47`, ISO 8601), the month (`2026-11`), the model (`openai/gpt-5-mini`), ' +
                'the agent’s name, or the user’s id. Null where there is none: a service key, or a call without an agent. ' +
                'Groups past the 499 dearest are put together as `(other)`, at the end.',
            }),
        }),
      )
      .openapi({
        description: 'Times in their order; all else by cost, the dearest first. They add up to the totals.',
      }),
  })
  .openapi('CostSummary')
export type CostSummary = z.infer<typeof CostSummary>

const CostSummaryQuery = z.strictObject({
  from: z.iso
    .datetime({ offset: true })
    .optional()
    .openapi({ description: 'Inclusive. The first moment of the month (UTC) in which the range ends when left out.' }),
  before: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Exclusive. Now when left out.' }),
  groupBy: z.enum(COST_GROUPS).default('day'),
})
export type CostSummaryQuery = z.infer<typeof CostSummaryQuery>

export const getCostSummary = defineRoute({
  operationId: 'getCostSummary',
  method: 'get',
  path: '/costs/summary',
  tags: ['Costs'],
  scope: 'read',
  home: 'tenant',
  summary: 'Add up what model calls cost, by time, model, agent or user',
  description: 'Over at most 366 days, by when the calls began. Days, weeks and months are UTC.',
  request: { query: CostSummaryQuery },
  responses: { 200: json(CostSummary, 'The sums') },
})
