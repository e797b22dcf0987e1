import type { CostSummary, DagCost, ExecutionCost } from '#desiagent/costs.ts'
import { boundsOf, periodOf } from '#kit/billing-period.ts'
import { ValidationFailed } from '#kit/http/errors.ts'
import { toIso } from '#kit/http/filters.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { WorkflowContext } from '../context.ts'
import type { CostSummaryQuery } from './contract.ts'

const LONGEST_RANGE_MS = 366 * 86_400_000

export function getExecutionCost(ctx: WorkflowContext, executionId: string): Promise<ExecutionCost> {
  return ctx.desi.costs.execution(executionId)
}

export function getDagCost(ctx: WorkflowContext, dagId: string): Promise<DagCost> {
  return ctx.desi.costs.dag(dagId)
}

/**
 * Adds up what the calls that began in a range cost.
 *
 * @param query.from    the first moment of the month (UTC) in which the range ends when left out
 * @param query.before  when left out, what was written this very millisecond is still counted
 * @throws ValidationFailed when the range is empty, or longer than 366 days
 */
export async function getCostSummary(ctx: WorkflowContext, query: CostSummaryQuery): Promise<CostSummary> {
  const now = ctx.now()
  const before = toIso(query.before) ?? addMilliseconds(now, 1).toISOString()
  const from = toIso(query.from) ?? boundsOf(periodOf(addMilliseconds(new Date(before), -1))).start

  const lengthMs = Date.parse(before) - Date.parse(from)
  if (lengthMs <= 0) throw new ValidationFailed([{ path: 'from', message: 'This is not before the end of the range.' }])
  if (lengthMs > LONGEST_RANGE_MS)
    throw new ValidationFailed([{ path: 'from', message: 'This is more than 366 days before the end of the range.' }])
  return ctx.desi.costs.summary({ from, before, groupBy: query.groupBy })
}
