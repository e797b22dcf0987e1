import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { isRefusal } from '#kit/errors.ts'
import { type Agent, resolveAgent } from '../agents.ts'
import type { Dag, OnPlanned, PlanningAttempt } from '../dag.ts'
import { LimitReached } from '../errors.ts'
import { keepDue } from '../keep-due.ts'
import { leaveUnder, NOT_KEPT } from '../limits/leave.ts'
import { PlanningLimits } from '../limits/planning-limits.ts'
import { recordUsed } from '../metering.ts'
import type { DesiAgentParts } from '../parts.ts'
import { listActiveAgents } from '../store/agents.ts'
import * as store from '../store/dags.ts'
import { describeTools } from '../tools/registry.ts'
import { type PlanningCall, type PlanningOutcome, planGoal } from './plan-goal.ts'
import { planScope } from './plan-scope.ts'

/** The agents that plan and answer; a plan does not ask them. */
const OUR_OWN_AGENTS: readonly string[] = ['planner', 'titler', 'synthesizer']

/**
 * Plans a DAG whose row says `planning`, keeps each attempt as soon as its cost is known, and commits how it ended.
 *
 * @param onPlanned  called in the transaction of the end, unless the provider was out of reach
 * @param within     the limits of the execution it is planned for
 * @param before     what the DAG was, to be put back when planning is refused (a quota, a suspension): it can be asked again
 */
export async function planDag(
  parts: DesiAgentParts,
  dag: Dag,
  planner: Agent,
  onPlanned: OnPlanned,
  within: PlanningLimits = new PlanningLimits(null, parts.shared.now),
  before?: store.DagChange,
): Promise<Dag> {
  const { db, shared } = parts
  const nowIso = () => shared.now().toISOString()
  const due = keepDue(parts, 'planning', dag.id)
  try {
    const outcome = await shared.running.plan((stop) => askPlanner(parts, dag, planner, within, stop))
    if (outcome.status === 'failed') within.assertNotTheCause(outcome.error)
    await transaction(db, async (tx) => {
      const isOurs = await store.updateDag(tx, dag.id, changeBy(outcome), nowIso(), 'planning')
      if (isOurs && outcome.status !== 'failed') await onPlanned(tx, dag.id)
    })
  } catch (error) {
    // Not one of planning's own ends: the DAG must not stay "planning" until somebody finds it due.
    await store.updateDag(db, dag.id, changeAfter(error, before), nowIso(), 'planning')
    await due.remove()
    throw error
  } finally {
    due.stop()
  }
  await due.remove()
  return (await store.findDag(db, dag.id)) as Dag
}

function changeAfter(error: unknown, before: store.DagChange | undefined): store.DagChange {
  if (error instanceof LimitReached) return { status: 'failed', error: { code: error.code, message: error.message } }
  if (!isRefusal(error)) return { status: 'failed', error: UNEXPECTED }
  return before ?? { status: 'failed', error: { code: error.code, message: error.message } }
}

async function askPlanner(
  parts: DesiAgentParts,
  dag: Dag,
  planner: Agent,
  within: PlanningLimits,
  stop: AbortSignal,
): Promise<PlanningOutcome> {
  const { db, shared } = parts
  const titler = await resolveAgent(db, 'titler')
  const attempts = [...dag.planningAttempts]
  const work = {
    brief: await briefOf(parts, dag, planner),
    scope: await planScope(db, planner.allowedTools),
    planner: { agent: planner, model: shared.models.resolve(dag.params, planner) },
    titler: { agent: titler, model: shared.models.resolve(dag.params, titler) },
    params: dag.params,
    idempotencyKey: `${dag.id}/plan/${dag.clarifications.length}`,
    askLeave: leaveUnder(db, shared.metering, within.budget, NOT_KEPT),
    record: (planned: PlanningCall) => keepAttempt(parts, dag, attempts, planned),
    signal: within.until(stop),
  }
  return planGoal(work, shared)
}

async function briefOf({ db, shared }: DesiAgentParts, dag: Dag, planner: Agent) {
  const [inputs, agents] = await Promise.all([store.listDagInputs(db, dag.id), listActiveAgents(db)])
  const tools = describeTools(planner.allowedTools)
  return {
    goalText: dag.goalText,
    inputs,
    tools: tools.map(({ name, description, parameters }) => ({ name, description, parameters })),
    agents: agents.filter(({ name }) => !OUR_OWN_AGENTS.includes(name)),
    clarifications: dag.clarifications,
    today: shared.now().toISOString().slice(0, 10),
  }
}

async function keepAttempt(
  { db, shared }: DesiAgentParts,
  { id: dagId, createdBy: userId }: Dag,
  attempts: PlanningAttempt[],
  { attempt, reason, errorMessage, call }: PlanningCall,
): Promise<void> {
  attempts.push({ attempt, reason, usage: call.usage, costUsdMicros: call.costUsdMicros, errorMessage })
  const purpose = reason === 'title_master' ? 'title' : 'planning'
  const usedFor = { dagId, executionId: null, subStepId: null, userId }
  const entry = { ...call, ...usedFor, id: shared.newId(), purpose, attempt } as const
  const at = shared.now().toISOString()
  await transaction(db, async (tx: TenantDb) => {
    await store.updateDag(tx, dagId, { planningAttempts: attempts }, at)
    await recordUsed(shared.metering, tx, { calls: [entry], computeMs: call.durationMs, for: usedFor }, at)
  })
}

/** The process went down, politely or not, while a goal was being planned. */
export const INTERRUPTED = {
  code: 'interrupted',
  message: 'The server stopped while this goal was being planned. Create it again.',
}

export const UNEXPECTED = { code: 'internal_error', message: 'Something went wrong on our side while planning.' }

function changeBy(outcome: PlanningOutcome): store.DagChange {
  switch (outcome.status) {
    case 'success':
      return { status: 'success', plan: outcome.plan, dagTitle: outcome.title, clarificationQuery: null, error: null }
    case 'clarification_required':
      return { status: 'clarification_required', plan: outcome.plan, clarificationQuery: outcome.query }
    case 'validation_error': {
      const error = {
        code: 'plan_invalid',
        message: 'No valid plan came out of three attempts.',
        problems: outcome.problems,
      }
      return { status: 'validation_error', error }
    }
    case 'failed':
      if (outcome.error.code === 'aborted') return { status: 'failed', error: INTERRUPTED }
      return { status: 'failed', error: { code: outcome.error.code, message: outcome.error.message } }
  }
}
