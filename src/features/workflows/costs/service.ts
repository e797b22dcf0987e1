import type { ExecutionCost } from '#desiagent/costs.ts'
import type { WorkflowContext } from '../context.ts'

export function getExecutionCost(ctx: WorkflowContext, executionId: string): Promise<ExecutionCost> {
  return ctx.desi.costs.execution(executionId)
}
