import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { type Agent, resolveAgent } from './agents.ts'
import type { Dag, DagFilter, DagInput, DagParams, DagPatch, Definition, NewDag, OnPlanned } from './dag.ts'
import { type BeginOptions, createAndExecute, executeDag, executeDefinition } from './dags/begin-execution.ts'
import { ClarificationNotAwaited, DagHasExecutions, DagIsPlanning, DagNotFound } from './errors.ts'
import { leaseEnd } from './executor/start.ts'
import type { PlanningLimits } from './limits/planning-limits.ts'
import { draftDag, keepInputs } from './new-dag.ts'
import type { DesiAgentParts } from './parts.ts'
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

    /** @throws what `create` throws, UnpricedModel, LimitReached */
    createAndExecute(
      input: NewDag & BeginOptions,
      onPlanned?: OnPlanned,
      onBegun?: OnPlanned,
    ): Promise<{ dag: Dag; executionId: string | null }> {
      return createAndExecute(parts, this.create.bind(this), input, onPlanned, onBegun)
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
        await parts.directory.removeDueWork('schedule', ...scheduleIds)
        return
      }
      const dag = await this.get(id)
      if (dag.status === 'planning') throw new DagIsPlanning()
      throw new DagHasExecutions({ executionCount: await store.countExecutions(db, id) })
    },

    /** @throws DagNotFound, DagNotExecutable, PlanInvalid, ProviderNotConfigured, UnpricedModel */
    execute: (
      id: string,
      begun?: BeginOptions & { createdBy?: string | null },
      onStarted?: OnPlanned,
    ): Promise<{ executionId: string }> => executeDag(parts, id, begun, onStarted),

    /** @throws PlanInvalid, ProviderNotConfigured, UnpricedModel */
    executeDefinition: (
      input: Definition & Pick<BeginOptions, 'limits'>,
      onStarted?: OnPlanned,
    ): Promise<{ dagId: string; executionId: string }> => executeDefinition(parts, input, onStarted),

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

  async function recordInputs(tx: TenantDb, dag: Dag, inputs: readonly DagInput[]): Promise<void> {
    const storageBytes = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const usedFor = { dagId: dag.id, executionId: null, subStepId: null, userId: dag.createdBy }
    await shared.metering.record(tx, { storageBytes, for: usedFor }, nowIso())
  }
}
