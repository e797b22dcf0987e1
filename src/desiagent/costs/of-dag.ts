import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { PlanningAttempt } from '../dag.ts'
import { DagNotFound } from '../errors.ts'
import { countForgottenExecutions, type DagCallSum, sumCallsOfDag } from '../store/call-sums.ts'
import { countExecutions, findDag } from '../store/dags.ts'
import { addCosts, type CallSum, costOf, type Spent, sumOf } from './spent.ts'

export interface DagCost {
  dagId: string
  planning: Spent & { calls: number; attempts: PlanningAttempt[] }
  executions: Spent & {
    calls: number
    /** Those that exist, and deleted ones that had called a model. */
    count: number
  }
  /** The dearest first. */
  models: (Spent & { provider: string; model: string; calls: number })[]
  totals: {
    planningCostUsdMicros: number | null
    executionCostUsdMicros: number | null
    grandTotalCostUsdMicros: number | null
  }
  /** Calls whose cost is not known: a model without a price, or a connection that broke before the count came. */
  unpriced: { provider: string; model: string; calls: number }[]
  priceVersions: string[]
}

/** What planning a DAG and all its executions cost. @throws DagNotFound */
export async function readDagCost(tx: TenantDb, id: string): Promise<DagCost> {
  const dag = await findDag(tx, id)
  if (!dag) throw new DagNotFound()
  const sums = await sumCallsOfDag(tx, id)
  const count = (await countExecutions(tx, id)) + (await countForgottenExecutions(tx, id))

  const planning = spent(sums.filter(isPlanning))
  const executions = spent(sums.filter((sum) => !isPlanning(sum)))
  const models = sumsByModel(sums)
  return {
    dagId: id,
    planning: { ...planning, attempts: dag.planningAttempts },
    executions: { ...executions, count },
    models: models.map(({ provider, model, sum }) => ({ provider, model, ...spent([sum]) })),
    totals: {
      planningCostUsdMicros: planning.costUsdMicros,
      executionCostUsdMicros: executions.costUsdMicros,
      grandTotalCostUsdMicros: addCosts(planning.costUsdMicros, executions.costUsdMicros),
    },
    unpriced: models
      .filter(({ sum }) => sum.unpricedCalls > 0)
      .map(({ provider, model, sum }) => ({ provider, model, calls: sum.unpricedCalls })),
    priceVersions: [...new Set(sums.map(({ priceVersion }) => priceVersion))].toSorted(),
  }
}

function isPlanning({ purpose }: DagCallSum): boolean {
  return purpose === 'planning' || purpose === 'title'
}

function spent(sums: readonly CallSum[]): Spent & { calls: number } {
  const sum = sumOf(sums)
  return { usage: sum.usage, costUsdMicros: costOf(sum), calls: sum.calls }
}

function sumsByModel(sums: readonly DagCallSum[]): { provider: string; model: string; sum: CallSum }[] {
  const models = Map.groupBy(sums, ({ provider, model }) => `${provider}/${model}`)
  return [...models.values()]
    .map((ofOne) => {
      const [{ provider, model }] = ofOne as [DagCallSum]
      return { provider, model, sum: sumOf(ofOne) }
    })
    .toSorted((a, b) => b.sum.knownCostUsdMicros - a.sum.knownCostUsdMicros)
}
