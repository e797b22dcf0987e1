import { z } from '@hono/zod-openapi'
import { ExecutionNotFound } from '#desiagent/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { CostUsdMicros, ExecutionStatus, IdParam, PlanningAttempt, TokenUsage } from '../schemas.ts'

const Spent = z.object({ usage: TokenUsage, costUsdMicros: CostUsdMicros })

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
    unpriced: z
      .array(
        z.object({
          purpose: z.string(),
          taskId: z.string().nullable(),
          provider: z.string(),
          model: z.string(),
          calls: z.int(),
        }),
      )
      .openapi({
        description:
          'Calls whose cost is not known: no price for the model, or the connection broke before the count came.',
      }),
    priceVersion: z.string(),
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
