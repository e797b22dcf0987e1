import { spentOn } from '#desiagent/costs.ts'
import type { Dag as DagRecord } from '#desiagent/dag.ts'
import { DagIsPlanning, PlanInvalid, PlanningFailed } from '#desiagent/errors.ts'
import type { ExecutionStatus } from '#desiagent/execution.ts'
import { limitsOrNull } from '#desiagent/limits.ts'
import { describeCron } from '#desiagent/schedules/cron.ts'
import type { ScheduleChanger } from '#desiagent/schedules/of-dag.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { InsufficientScope } from '#kit/http/errors.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { WorkflowContext } from '../context.ts'
import type {
  CreateDag,
  CreateExecute,
  Dag,
  ExecuteDag,
  ExecuteDefinition,
  ListDagsQuery,
  ListScheduledDagsQuery,
  UpdateDag,
} from './contract.ts'

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
  return { ...found, rows: found.rows.map(present) }
}

export async function listScheduledDags(
  ctx: WorkflowContext,
  query: ListScheduledDagsQuery,
  page: PageRequest,
): Promise<Page<Dag>> {
  const isActive = query.active === undefined ? undefined : query.active === 'true'
  const found = await ctx.desi.dags.listScheduled(isActive, page)
  return { ...found, rows: found.rows.map(present) }
}

export async function getDag(ctx: WorkflowContext, id: string): Promise<Dag> {
  return present(await ctx.desi.dags.get(id))
}

/**
 * Plans a goal and answers when planning has ended.
 *
 * @throws PlanInvalid when no valid plan came out, PlanningFailed when the provider was out of reach; the DAG keeps why
 * @throws InsufficientScope when it gets an active schedule from somebody who may not execute
 */
export async function createDag(ctx: WorkflowContext, input: CreateDag): Promise<Planned> {
  if (input.cronSchedule !== undefined && input.scheduleActive !== false) changerOf(ctx).assertMayExecute()
  return planned(await ctx.desi.dags.create({ ...input, createdBy: ctx.actor.userId }, ctx.commitWith))
}

/** Answers for a DAG that exists what creating it answered. */
export async function replayDag(ctx: WorkflowContext, id: string): Promise<Planned> {
  return planned(await ctx.desi.dags.get(id))
}

/** @throws ClarificationNotAwaited, and what `createDag` throws */
export async function resumeClarification(ctx: WorkflowContext, id: string, userResponse: string): Promise<Planned> {
  return planned(await ctx.desi.dags.resumeClarification(id, userResponse, ctx.commitWith))
}

export async function createExecute(ctx: WorkflowContext, input: CreateExecute): Promise<Planned | Executing> {
  const { dag, executionId } = await ctx.desi.dags.createAndExecute(
    { ...input, limits: limitsOrNull(input.limits), createdBy: ctx.actor.userId },
    ctx.commitWith,
  )
  return executing(dag, executionId)
}

export async function replayCreateExecute(ctx: WorkflowContext, dagId: string): Promise<Planned | Executing> {
  const dag = await ctx.desi.dags.get(dagId)
  return executing(dag, await ctx.desi.executions.firstOf(dagId))
}

/** @throws InsufficientScope when it has an active schedule, or gets one, from somebody who may not execute */
export async function updateDag(ctx: WorkflowContext, id: string, input: UpdateDag): Promise<Dag> {
  return present(await ctx.desi.dags.update(id, input, changerOf(ctx)))
}

export function deleteDag(ctx: WorkflowContext, id: string): Promise<void> {
  return ctx.desi.dags.remove(id)
}

export async function executeDag(ctx: WorkflowContext, id: string, { limits }: ExecuteDag): Promise<Started> {
  const begun = { createdBy: ctx.actor.userId, limits: limitsOrNull(limits) }
  const { executionId } = await ctx.desi.dags.execute(id, begun, ctx.commitWith)
  return getStarted(ctx, executionId)
}

export async function executeDefinition(ctx: WorkflowContext, input: ExecuteDefinition): Promise<Started> {
  const { executionId } = await ctx.desi.dags.executeDefinition(
    { ...input, limits: limitsOrNull(input.limits), createdBy: ctx.actor.userId },
    ctx.commitWith,
  )
  return getStarted(ctx, executionId)
}

export async function getStarted(ctx: WorkflowContext, executionId: string): Promise<Started> {
  const { id, dagId, status } = await ctx.desi.executions.get(executionId)
  return { id, dagId, status }
}

function executing(dag: DagRecord, executionId: string | null): Planned | Executing {
  if (executionId === null) return planned(dag)
  return { status: 'executing', dagId: dag.id, executionId, dag: present(dag) }
}

function planned(dag: DagRecord): Planned {
  const dagId = dag.id
  switch (dag.status) {
    case 'clarification_required':
      return {
        status: dag.status,
        dagId,
        clarificationQuery: dag.clarificationQuery ?? '',
        dag: present(dag),
      }
    case 'validation_error':
      throw new PlanInvalid({ dagId, problems: dag.error?.problems ?? [] }, dag.error ?? {})
    case 'failed':
      throw new PlanningFailed({ dagId, reason: dag.error?.code ?? 'unknown' }, { message: dag.error?.message ?? '' })
    case 'planning':
      throw new DagIsPlanning(null, { retryAfterSeconds: 1 }) // a repeat of a call whose DAG is being planned again
    case 'success':
      return { status: dag.status, dagId, dag: present(dag) }
  }
}

/** Whoever sets a schedule begins executions. */
function changerOf({ actor }: WorkflowContext): ScheduleChanger {
  return {
    userId: actor.userId,
    assertMayExecute() {
      if (!actor.scopes.includes('execute')) {
        throw new InsufficientScope({ required: 'execute', granted: [...actor.scopes] })
      }
    },
  }
}

function present({ planningAttempts, clarifications: _, ...dag }: DagRecord): Dag {
  const attempts = planningAttempts.filter(({ reason }) => reason !== 'title_master').length
  const planning = { ...spentOn(planningAttempts), attempts: planningAttempts }
  const scheduleDescription = dag.cronSchedule === null ? null : describeCron(dag.cronSchedule)
  return { ...dag, scheduleDescription, attempts, planning } as Dag
}
