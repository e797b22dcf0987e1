import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { PlanningAttempt } from '../dag.ts'
import { ExecutionNotFound } from '../errors.ts'
import type { ExecutionStatus } from '../execution.ts'
import { PRICE_VERSION } from '../models/prices.ts'
import { findDag } from '../store/dags.ts'
import { findExecution } from '../store/executions.ts'
import { listCallsOfExecution, type ModelCallRow } from '../store/model-calls.ts'
import { listSubSteps, type SubStep } from '../store/sub-steps.ts'
import { addCosts, type Spent, spentOn } from './spent.ts'

export interface StepCost extends Spent {
  id: string
  taskId: string
  actionType: SubStep['actionType']
  toolOrPromptName: string
  provider: string | null
  model: string | null
}

export interface ExecutionCost {
  executionId: string
  dagId: string | null
  status: ExecutionStatus
  planning: Spent & { attempts: PlanningAttempt[] }
  execution: Spent & { subSteps: StepCost[]; synthesis: Spent }
  totals: {
    planningCostUsdMicros: number | null
    executionCostUsdMicros: number | null
    grandTotalCostUsdMicros: number | null
  }
  /** Calls whose cost is not known: a model without a price, or a connection that broke before the count came. */
  unpriced: { purpose: string; taskId: string | null; provider: string; model: string; calls: number }[]
  priceVersion: string
}

/** What planning and running an execution cost. @throws ExecutionNotFound */
export async function readExecutionCost(tx: TenantDb, id: string): Promise<ExecutionCost> {
  const { execution, steps, calls, dag } = await readAll(tx, id)
  const planning = spentOn(dag?.planningAttempts ?? [])
  const synthesis = spentOn(calls.filter(({ purpose }) => purpose === 'synthesis').map(ofRow))
  const { totalUsage: usage, costUsdMicros } = execution
  return {
    executionId: id,
    dagId: execution.dagId,
    status: execution.status,
    planning: { ...planning, attempts: dag?.planningAttempts ?? [] },
    execution: { usage, costUsdMicros, subSteps: steps.map(stepCost), synthesis },
    totals: {
      planningCostUsdMicros: planning.costUsdMicros,
      executionCostUsdMicros: costUsdMicros,
      grandTotalCostUsdMicros: addCosts(planning.costUsdMicros, costUsdMicros),
    },
    unpriced: unpricedIn(calls, steps),
    priceVersion: calls[0]?.price_version ?? PRICE_VERSION,
  }
}

async function readAll(tx: TenantDb, id: string) {
  const execution = await findExecution(tx, id)
  if (!execution) throw new ExecutionNotFound()
  const steps = await listSubSteps(tx, id)
  const calls = await listCallsOfExecution(tx, id)
  return { execution, steps, calls, dag: execution.dagId === null ? null : await findDag(tx, execution.dagId) }
}

function ofRow(row: ModelCallRow): Spent {
  const { prompt_tokens: promptTokens, completion_tokens: completionTokens, cached_tokens: cachedTokens } = row
  const usage = { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens, cachedTokens }
  return { usage, costUsdMicros: row.cost_usd_micros }
}

function stepCost(step: SubStep): StepCost {
  const { id, taskId, actionType, toolOrPromptName, provider, model, usage, costUsdMicros } = step
  return { id, taskId, actionType, toolOrPromptName, provider, model, usage, costUsdMicros }
}

function unpricedIn(calls: readonly ModelCallRow[], steps: readonly SubStep[]): ExecutionCost['unpriced'] {
  const found = new Map<string, ExecutionCost['unpriced'][number]>()
  for (const { purpose, sub_step_id, provider, model, cost_usd_micros } of calls) {
    if (cost_usd_micros !== null) continue
    const taskId = steps.find(({ id }) => id === sub_step_id)?.taskId ?? null
    const key = JSON.stringify([purpose, taskId, provider, model])
    const known = found.get(key) ?? { purpose, taskId, provider, model, calls: 0 }
    found.set(key, { ...known, calls: known.calls + 1 })
  }
  return [...found.values()]
}
