import type { Execution as ExecutionRecord } from '#desiagent/execution.ts'
import type { SubStepView } from '#desiagent/executions.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { StreamTickets } from '#kit/stream-tickets.ts'
import type { WorkflowContext } from '../context.ts'
import type { Execution, ListExecutionsQuery, ResumeExecution, SubStep } from './contract.ts'

export async function listExecutions(
  ctx: WorkflowContext,
  query: ListExecutionsQuery,
  page: PageRequest,
): Promise<Page<Execution>> {
  const { status, dagId, scheduleId, search } = query
  const found = await ctx.desi.executions.list({ status, dagId, scheduleId, search, ...createdRange(query) }, page)
  return { ...found, rows: found.rows.map(present) }
}

export async function getExecution(ctx: WorkflowContext, id: string): Promise<Execution> {
  return present(await ctx.desi.executions.get(id))
}

export async function listSubSteps(ctx: WorkflowContext, id: string): Promise<SubStep[]> {
  return (await ctx.desi.executions.subSteps(id)).map(presentStep)
}

export async function getExecutionDetails(
  ctx: WorkflowContext,
  id: string,
): Promise<Execution & { subSteps: SubStep[] }> {
  const { subSteps, ...execution } = await ctx.desi.executions.details(id)
  return { ...present(execution), subSteps: subSteps.map(presentStep) }
}

export async function cancelExecution(ctx: WorkflowContext, id: string): Promise<Execution> {
  return present(await ctx.desi.executions.cancel(id))
}

export async function pauseExecution(ctx: WorkflowContext, id: string): Promise<Execution> {
  return present(await ctx.desi.executions.pause(id))
}

export async function resumeExecution(
  ctx: WorkflowContext,
  id: string,
  { limits }: ResumeExecution,
): Promise<Execution> {
  return present(await ctx.desi.executions.resume(id, limits))
}

export async function retrySubStep(ctx: WorkflowContext, id: string, subStepId: string): Promise<Execution> {
  return present(await ctx.desi.executions.retrySubStep(id, subStepId))
}

export function deleteExecution(ctx: WorkflowContext, id: string): Promise<void> {
  return ctx.desi.executions.remove(id)
}

/**
 * A ticket with which a browser follows this execution; it lets in whom the calling key lets in.
 *
 * @throws ExecutionNotFound
 */
export async function createStreamTicket(
  ctx: WorkflowContext,
  tickets: StreamTickets,
  id: string,
): Promise<{ ticket: string; expiresAt: string }> {
  await ctx.desi.executions.get(id)
  const claims = { tenantId: ctx.tenant.id, executionId: id, keyId: ctx.actor.keyId }
  const { ticket, expiresAt } = await tickets.issue(claims)
  return { ticket, expiresAt: expiresAt.toISOString() }
}

function present({ lastEventSeq: _, ...execution }: ExecutionRecord): Execution {
  return execution
}

function presentStep({ wave: _, retry: __, ...step }: SubStepView): SubStep {
  return step
}
