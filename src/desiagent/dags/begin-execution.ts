import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { isRefusal, type ProductError } from '#kit/errors.ts'
import type { Dag, Definition, NewDag, OnPlanned } from '../dag.ts'
import { DagNotExecutable, DagNotFound, UnpricedModel } from '../errors.ts'
import { type ExecutionOrder, type NewExecution, newExecution, startExecution } from '../executor/start.ts'
import { keepDue } from '../keep-due.ts'
import { PlanningLimits } from '../limits/planning-limits.ts'
import { assertPricedForGoal, assertPricedForPlan } from '../limits/priced.ts'
import type { ExecutionLimits } from '../limits.ts'
import { definitionDag } from '../new-dag.ts'
import type { DesiAgentParts } from '../parts.ts'
import type { DecomposerJob } from '../planner/decomposer-job.ts'
import { validated } from '../planner/plan-scope.ts'
import * as store from '../store/dags.ts'

/** How an execution is begun. */
export interface BeginOptions {
  limits?: ExecutionLimits | null | undefined
  /** Whose occurrence begins it. */
  scheduleId?: string | null | undefined
}

/** Plans a goal, as `dags.create` does. */
type CreateDag = (input: NewDag, onPlanned: OnPlanned, id: undefined, within: PlanningLimits) => Promise<Dag>

const NOTHING: OnPlanned = async () => {}

/**
 * Plans a goal and, when that gives a plan, begins to execute it in the same transaction.
 *
 * @param input.limits  for planning and execution together
 * @param onBegun       called in the same transaction when there is an execution
 * @returns the execution's id is null when there is nothing to execute
 * @throws what `create` throws, UnpricedModel, LimitReached
 */
export async function createAndExecute(
  parts: DesiAgentParts,
  create: CreateDag,
  { limits = null, scheduleId = null, ...input }: NewDag & BeginOptions,
  onPlanned: OnPlanned = NOTHING,
  onBegun: OnPlanned = NOTHING,
): Promise<{ dag: Dag; executionId: string | null }> {
  const { db, shared } = parts
  await assertPricedForGoal(db, shared.models, { limits, params: input }, input.agentName ?? 'planner')
  await transaction(db, shared.metering.admitExecution) // before a plan is paid for that cannot be executed
  const execution = newExecution(parts)
  await execution.announce()
  const within = new PlanningLimits(limits, shared.now)
  let refusal: ProductError | undefined
  let isBegun = false
  const insertIfPlanned: OnPlanned = async (tx, dagId) => {
    await onPlanned(tx, dagId)
    const planned = await store.findDag(tx, dagId)
    if (planned?.status !== 'success') return
    // A plan that was paid for is kept, also when there is no room to execute it.
    await transaction(tx, async (inner) => {
      const { params, plan, createdBy } = planned
      await assertPricedForPlan(inner, shared.models, { limits, params }, plan as DecomposerJob)
      await insertExecutionOf(inner, execution, planned, { createdBy, limits, planned: within.taken(), scheduleId })
      await onBegun(inner, execution.id)
      isBegun = true
    }).catch((error: unknown) => {
      if (!isRefusal(error) && !(error instanceof UnpricedModel)) throw error
      refusal = error
    })
  }
  const due = keepDue(parts, 'execution', execution.id)
  const dag = await create(input, insertIfPlanned, undefined, within).catch(async (error: unknown) => {
    await due.remove()
    throw error
  })
  if (isBegun) {
    due.stop()
    await execution.announce() // again: if this process stood still, somebody found nothing and took the row away
    execution.wake()
  } else await due.remove()
  if (refusal) throw refusal
  return { dag, executionId: isBegun ? execution.id : null }
}

/**
 * Begins an execution of the DAG's plan, checked again: agents and tools may have gone since.
 *
 * @throws DagNotFound, DagNotExecutable, PlanInvalid, ProviderNotConfigured, UnpricedModel
 */
export async function executeDag(
  parts: DesiAgentParts,
  id: string,
  { createdBy = null, limits = null, scheduleId = null }: BeginOptions & { createdBy?: string | null } = {},
  onStarted: OnPlanned = NOTHING,
): Promise<{ executionId: string }> {
  const { db, shared } = parts
  const dag = await store.findDag(db, id)
  if (!dag) throw new DagNotFound()
  if (dag.status !== 'success' || !dag.plan) throw new DagNotExecutable({ status: dag.status })
  shared.models.resolve(dag.params)
  const checked = { ...dag, plan: await validated(db, dag.plan, dag.agentName) }
  await assertPricedForPlan(db, shared.models, { limits, params: dag.params }, checked.plan)
  const executionId = await startExecution(parts, async (tx, execution) => {
    await insertExecutionOf(tx, execution, checked, { createdBy, limits, scheduleId })
    await onStarted(tx, execution.id)
  })
  return { executionId }
}

/**
 * Begins an execution of a plan that is given, not planned. It is kept as a DAG of its own.
 *
 * @throws PlanInvalid, ProviderNotConfigured, UnpricedModel
 */
export async function executeDefinition(
  parts: DesiAgentParts,
  { limits = null, ...input }: Definition & Pick<BeginOptions, 'limits'>,
  onStarted: OnPlanned = NOTHING,
): Promise<{ dagId: string; executionId: string }> {
  const { db, shared } = parts
  shared.models.resolve(input)
  const given = await validated(db, input.definition, null)
  const dag = definitionDag(parts, input, given)
  await assertPricedForPlan(db, shared.models, { limits, params: dag.params }, given)
  const executionId = await startExecution(parts, async (tx, execution) => {
    await store.insertDag(tx, dag)
    await insertExecutionOf(tx, execution, dag, { createdBy: dag.createdBy, limits })
    await onStarted(tx, execution.id)
  })
  return { dagId: dag.id, executionId }
}

async function insertExecutionOf(
  tx: TenantDb,
  execution: NewExecution,
  dag: Dag,
  begun: Omit<ExecutionOrder, 'dag' | 'plan' | 'inputs'>,
): Promise<void> {
  const inputs = await store.listDagInputs(tx, dag.id)
  await execution.insert(tx, { dag, plan: dag.plan as DecomposerJob, inputs, ...begun })
}
