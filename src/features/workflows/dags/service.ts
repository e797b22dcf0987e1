import { spentOn } from '#desiagent/costs.ts'
import type { Dag as DagRecord } from '#desiagent/dag.ts'
import { DagIsPlanning, PlanInvalid, PlanningFailed } from '#desiagent/errors.ts'
import type { ExecutionStatus } from '#desiagent/execution.ts'
import { describeSchedule, nextRun } from '#desiagent/schedule.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { WorkflowContext } from '../context.ts'
import type { CreateDag, Dag, ExecuteDefinition, ListDagsQuery, ListScheduledDagsQuery, UpdateDag } from './contract.ts'

/** How planning ended, when it ended with something the caller can go on with. */
export type Planned =
  | { status: 'success'; dagId: string; dag: Dag }
  | { status: 'clarification_required'; dagId: string; clarificationQuery: string; dag: Dag }

export type Executing = { status: 'executing'; dagId: string; executionId: string; dag: Dag }

export interface Started {
  id: string
  dagId: string | null
  status: ExecutionStatus
}

export async function listDags(ctx: WorkflowContext, query: ListDagsQuery, page: PageRequest): Promise<Page<Dag>> {
  const { status, agentName, search } = query
  const found = await ctx.desi.dags.list({ status, agentName, search, ...createdRange(query) }, page)
  return { ...found, rows: found.rows.map((dag) => present(dag, ctx.now())) }
}

export async function listScheduledDags(
  ctx: WorkflowContext,
  query: ListScheduledDagsQuery,
  page: PageRequest,
): Promise<Page<Dag>> {
  const isActive = query.active === undefined ? undefined : query.active === 'true'
  const found = await ctx.desi.dags.listScheduled(isActive, page)
  return { ...found, rows: found.rows.map((dag) => present(dag, ctx.now())) }
}

export async function getDag(ctx: WorkflowContext, id: string): Promise<Dag> {
  return present(await ctx.desi.dags.get(id), ctx.now())
}

/**
 * Plans a goal and answers when planning has ended.
 *
 * @throws PlanInvalid when no valid plan came out, PlanningFailed when the provider was out of reach; the DAG keeps why
 */
export async function createDag(ctx: WorkflowContext, input: CreateDag): Promise<Planned> {
  return planned(ctx, await ctx.desi.dags.create({ ...input, createdBy: ctx.actor.userId }, ctx.commitWith))
}

/** Answers for a DAG that exists what creating it answered. */
export async function replayDag(ctx: WorkflowContext, id: string): Promise<Planned> {
  return planned(ctx, await ctx.desi.dags.get(id))
}

/** @throws ClarificationNotAwaited, and what `createDag` throws */
export async function resumeClarification(ctx: WorkflowContext, id: string, userResponse: string): Promise<Planned> {
  return planned(ctx, await ctx.desi.dags.resumeClarification(id, userResponse, ctx.commitWith))
}

export async function createExecute(ctx: WorkflowContext, input: CreateDag): Promise<Planned | Executing> {
  const { dag, executionId } = await ctx.desi.dags.createAndExecute(
    { ...input, createdBy: ctx.actor.userId },
    ctx.commitWith,
  )
  return executing(ctx, dag, executionId)
}

export async function replayCreateExecute(ctx: WorkflowContext, dagId: string): Promise<Planned | Executing> {
  const dag = await ctx.desi.dags.get(dagId)
  return executing(ctx, dag, await ctx.desi.executions.firstOf(dagId))
}

export async function updateDag(ctx: WorkflowContext, id: string, input: UpdateDag): Promise<Dag> {
  return present(await ctx.desi.dags.update(id, input), ctx.now())
}

export function deleteDag(ctx: WorkflowContext, id: string): Promise<void> {
  return ctx.desi.dags.remove(id)
}

export async function executeDag(ctx: WorkflowContext, id: string): Promise<Started> {
  const { executionId } = await ctx.desi.dags.execute(id, ctx.actor.userId, ctx.commitWith)
  return getStarted(ctx, executionId)
}

export async function executeDefinition(ctx: WorkflowContext, input: ExecuteDefinition): Promise<Started> {
  const { executionId } = await ctx.desi.dags.executeDefinition(
    { ...input, createdBy: ctx.actor.userId },
    ctx.commitWith,
  )
  return getStarted(ctx, executionId)
}

export async function getStarted(ctx: WorkflowContext, executionId: string): Promise<Started> {
  const { id, dagId, status } = await ctx.desi.executions.get(executionId)
  return { id, dagId, status }
}

function executing(ctx: WorkflowContext, dag: DagRecord, executionId: string | null): Planned | Executing {
  if (executionId === null) return planned(ctx, dag)
  return { status: 'executing', dagId: dag.id, executionId, dag: present(dag, ctx.now()) }
}

function planned(ctx: WorkflowContext, dag: DagRecord): Planned {
  const dagId = dag.id
  switch (dag.status) {
    case 'clarification_required':
      return {
        status: dag.status,
        dagId,
        clarificationQuery: dag.clarificationQuery ?? '',
        dag: present(dag, ctx.now()),
      }
    case 'validation_error':
      throw new PlanInvalid({ dagId, problems: dag.error?.problems ?? [] }, dag.error ?? {})
    case 'failed':
      throw new PlanningFailed({ dagId, reason: dag.error?.code ?? 'unknown' }, { message: dag.error?.message ?? '' })
    case 'planning':
      throw new DagIsPlanning(null, { retryAfterSeconds: 1 }) // a repeat of a call whose DAG is being planned again
    case 'success':
      return { status: dag.status, dagId, dag: present(dag, ctx.now()) }
  }
}

function present({ planningAttempts, clarifications: _, ...dag }: DagRecord, now: Date): Dag {
  const attempts = planningAttempts.filter(({ reason }) => reason !== 'title_master').length
  const planning = { ...spentOn(planningAttempts), attempts: planningAttempts }
  const schedule = { scheduleDescription: describeSchedule(dag), nextRunAt: nextRun(dag, now) }
  return { ...dag, ...schedule, attempts, planning } as Dag
}
