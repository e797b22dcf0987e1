import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { isRefusal, type ProductError } from '#kit/errors.ts'
import { type Agent, resolveAgent } from './agents.ts'
import type { Dag, DagFilter, DagInput, DagParams, DagPatch, Definition, NewDag, OnPlanned } from './dag.ts'
import {
  ClarificationNotAwaited,
  DagHasExecutions,
  DagIsPlanning,
  DagNotExecutable,
  DagNotFound,
  UnpricedModel,
} from './errors.ts'
import { type ExecutionOrder, leaseEnd, type NewExecution, newExecution, startExecution } from './executor/start.ts'
import { keepDue } from './keep-due.ts'
import { PlanningLimits } from './limits/planning-limits.ts'
import { assertPricedForGoal, assertPricedForPlan } from './limits/priced.ts'
import type { ExecutionLimits } from './limits.ts'
import { definitionDag, draftDag, keepInputs } from './new-dag.ts'
import type { DesiAgentParts } from './parts.ts'
import type { DecomposerJob } from './planner/decomposer-job.ts'
import { INTERRUPTED, planDag } from './planner/plan-dag.ts'
import { validated } from './planner/plan-scope.ts'
import {
  ANYBODY,
  changeOwnSchedule,
  isAboutSchedule,
  type ScheduleChanger,
  withOwnSchedule,
} from './schedules/of-dag.ts'
import * as store from './store/dags.ts'
import { isScheduled, listScheduleIdsOfDag } from './store/schedules.ts'

/** How an execution is begun. */
export interface BeginOptions {
  limits?: ExecutionLimits | null | undefined
  /** Whose occurrence begins it. */
  scheduleId?: string | null | undefined
}

/** Goals and their plans. */
export function dagsOf(parts: DesiAgentParts) {
  const { db, shared } = parts
  const nowIso = () => shared.now().toISOString()

  return {
    list: (filter: DagFilter, page: PageRequest): Promise<Page<Dag>> => store.listDags(db, filter, page),

    /** Those with a schedule. @param isActive  only active ones, or only inactive ones */
    listScheduled: (isActive: boolean | undefined, page: PageRequest): Promise<Page<Dag>> =>
      store.listScheduledDags(db, isActive, page),

    /** @throws DagNotFound */
    async get(id: string): Promise<Dag> {
      const dag = await store.findDag(db, id)
      if (!dag) throw new DagNotFound()
      return dag
    },

    /**
     * Plans a goal. Resolves when planning has ended, whatever its end: look at the DAG's status.
     *
     * @param id      for a caller who has to know it beforehand
     * @param within  the limits of the execution it is planned for
     * @throws AgentNotFound, ProviderNotConfigured, ScheduleInvalid, TooManySchedules, QuotaExceeded before anything is written
     */
    async create(
      input: NewDag,
      onPlanned: OnPlanned = async () => {},
      id: string = shared.newId(),
      within?: PlanningLimits,
    ): Promise<Dag> {
      const planner = await this.admit(input.agentName, [input])
      const dag = draftDag(parts, id, input, planner)
      const inputs = await keepInputs(parts, dag.id, input.inputs ?? [])
      await parts.directory.putDueWork('planning', dag.id, leaseEnd(shared))
      await withOwnSchedule(parts, dag, async (tx) => {
        await store.insertDag(tx, dag)
        await store.insertDagInputs(tx, dag.id, inputs)
        await recordInputs(tx, dag, inputs)
      })
      return planDag(parts, dag, planner, onPlanned, within)
    },

    /**
     * The agent that plans, if nothing stands in its way with any of these params.
     *
     * @throws AgentNotFound, ProviderNotConfigured, QuotaExceeded
     */
    async admit(agentName: string | undefined, choices: readonly DagParams[]): Promise<Agent> {
      const planner = await resolveAgent(db, agentName ?? 'planner')
      await assertCanPlan(choices, planner)
      await shared.metering.admitModelCall(db)
      return planner
    },

    /**
     * Plans a goal and, when that gives a plan, begins to execute it in the same transaction.
     *
     * @param input.limits  for planning and execution together
     * @param onBegun       called in the same transaction when there is an execution
     * @returns the execution's id is null when there is nothing to execute
     * @throws what `create` throws, UnpricedModel, LimitReached
     */
    async createAndExecute(
      { limits = null, scheduleId = null, ...input }: NewDag & BeginOptions,
      onPlanned: OnPlanned = async () => {},
      onBegun: OnPlanned = async () => {},
    ): Promise<{ dag: Dag; executionId: string | null }> {
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
          const { params, plan } = planned
          await assertPricedForPlan(inner, shared.models, { limits, params }, plan as DecomposerJob)
          const { createdBy } = planned
          await insertExecutionOf(inner, execution, planned, { createdBy, limits, planned: within.taken(), scheduleId })
          await onBegun(inner, execution.id)
          isBegun = true
        }).catch((error: unknown) => {
          if (!isRefusal(error) && !(error instanceof UnpricedModel)) throw error
          refusal = error
        })
      }
      const due = keepDue(parts, 'execution', execution.id)
      const dag = await this.create(input, insertIfPlanned, undefined, within).catch(async (error: unknown) => {
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
    },

    /**
     * Takes the user's answer to the planner's question and plans again.
     *
     * @throws DagNotFound, ClarificationNotAwaited
     */
    async resumeClarification(id: string, answer: string, onPlanned: OnPlanned = async () => {}): Promise<Dag> {
      const dag = await this.get(id)
      if (dag.status !== 'clarification_required') throw new ClarificationNotAwaited({ status: dag.status })
      // Before anything changes: the answer must be lost neither to a missing key nor to a quota.
      const planner = await this.admit(dag.agentName ?? undefined, [dag.params])
      const clarifications = [...dag.clarifications, { question: dag.clarificationQuery ?? '', answer }]
      await parts.directory.putDueWork('planning', id, leaseEnd(shared))
      const isMine = await store.updateDag(
        db,
        id,
        { status: 'planning', clarifications },
        nowIso(),
        'clarification_required',
      )
      if (!isMine) throw new ClarificationNotAwaited({ status: 'planning' })
      const asked = { status: dag.status, clarifications: dag.clarifications }
      return planDag(parts, { ...dag, clarifications }, planner, onPlanned, undefined, asked)
    },

    /** @throws DagNotFound, DagIsPlanning, PlanInvalid, ScheduleInvalid, TooManySchedules, and what the changer throws */
    async update(id: string, patch: DagPatch, changer: ScheduleChanger = ANYBODY): Promise<Dag> {
      const dag = await this.get(id)
      if (dag.status === 'planning') throw new DagIsPlanning()
      const change: store.DagChange = {}
      if (patch.dagTitle !== undefined) change.dagTitle = patch.dagTitle
      if (patch.params !== undefined) {
        shared.models.resolve(patch.params)
        change.params = patch.params
      }
      if (patch.plan !== undefined) {
        if (await isScheduled(db, id)) changer.assertMayExecute() // it is begun without anybody asking
        Object.assign(change, {
          plan: await validated(db, patch.plan, dag.agentName),
          status: 'success',
          clarificationQuery: null,
          error: null,
        })
      }
      const updateDag = (tx: TenantDb) => store.updateDag(tx, id, change, nowIso(), dag.status)
      const isChanged = isAboutSchedule(patch)
        ? await changeOwnSchedule(parts, id, patch, changer, updateDag)
        : await updateDag(db)
      if (!isChanged) throw new DagIsPlanning()
      return this.get(id)
    },

    /** @throws DagNotFound, DagHasExecutions, DagIsPlanning */
    async remove(id: string): Promise<void> {
      const scheduleIds = await listScheduleIdsOfDag(db, id)
      if (await store.deleteUnusedDag(db, id)) {
        await shared.blobs.deleteAll(`${parts.tenantId}/dags/${id}`)
        for (const scheduleId of scheduleIds) await parts.directory.removeDueWork('schedule', scheduleId)
        return
      }
      const dag = await this.get(id)
      if (dag.status === 'planning') throw new DagIsPlanning()
      throw new DagHasExecutions({ executionCount: await store.countExecutions(db, id) })
    },

    /**
     * Begins an execution of the DAG's plan, checked again: agents and tools may have gone since.
     *
     * @throws DagNotFound, DagNotExecutable, PlanInvalid, ProviderNotConfigured, UnpricedModel
     */
    async execute(
      id: string,
      { createdBy = null, limits = null, scheduleId = null }: BeginOptions & { createdBy?: string | null } = {},
      onStarted: OnPlanned = async () => {},
    ): Promise<{ executionId: string }> {
      const dag = await this.get(id)
      if (dag.status !== 'success' || !dag.plan) throw new DagNotExecutable({ status: dag.status })
      shared.models.resolve(dag.params)
      const checked = { ...dag, plan: await validated(db, dag.plan, dag.agentName) }
      await assertPricedForPlan(db, shared.models, { limits, params: dag.params }, checked.plan)
      const executionId = await startExecution(parts, async (tx, execution) => {
        await insertExecutionOf(tx, execution, checked, { createdBy, limits, scheduleId })
        await onStarted(tx, execution.id)
      })
      return { executionId }
    },

    /**
     * Begins an execution of a plan that is given, not planned. It is kept as a DAG of its own.
     *
     * @throws PlanInvalid, ProviderNotConfigured, UnpricedModel
     */
    async executeDefinition(
      input: Definition & Pick<BeginOptions, 'limits'>,
      onStarted: OnPlanned = async () => {},
    ): Promise<{ dagId: string; executionId: string }> {
      shared.models.resolve(input)
      const given = await validated(db, input.definition, null)
      const dag = definitionDag(parts, input, given)
      const limits = input.limits ?? null
      await assertPricedForPlan(db, shared.models, { limits, params: dag.params }, given)
      const executionId = await startExecution(parts, async (tx, execution) => {
        await store.insertDag(tx, dag)
        await insertExecutionOf(tx, execution, dag, { createdBy: dag.createdBy, limits })
        await onStarted(tx, execution.id)
      })
      return { dagId: dag.id, executionId }
    },

    /** Ends the planning that a process died in. Found through `due_work`, whose time whoever plans keeps ahead. */
    async interrupt(id: string): Promise<void> {
      if (shared.running.inHand.has(id)) return // it is alive, and was only late to say so
      await store.updateDag(db, id, { status: 'failed', error: INTERRUPTED }, nowIso(), 'planning')
      await parts.directory.removeDueWork('planning', id)
    },
  }

  /** @throws ProviderNotConfigured, AgentNotFound */
  async function assertCanPlan(choices: readonly DagParams[], planner: Agent): Promise<void> {
    const titler = await resolveAgent(db, 'titler')
    for (const params of choices) {
      shared.models.resolve(params, planner)
      shared.models.resolve(params, titler)
    }
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

  async function recordInputs(tx: TenantDb, dag: Dag, inputs: readonly DagInput[]): Promise<void> {
    const storageBytes = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const usedFor = { dagId: dag.id, executionId: null, subStepId: null, userId: dag.createdBy }
    await shared.metering.record(tx, { storageBytes, for: usedFor }, nowIso())
  }
}
