import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { type Agent, resolveAgent } from './agents.ts'
import type { Dag, DagFilter, DagParams, DagPatch, Definition, NewDag, OnPlanned } from './dag.ts'
import { ClarificationNotAwaited, DagHasExecutions, DagIsPlanning, DagNotExecutable, DagNotFound } from './errors.ts'
import { type NewExecution, newExecution, startExecution } from './executor/start.ts'
import { definitionDag, draftDag, keepInputs } from './new-dag.ts'
import type { DesiAgentParts } from './parts.ts'
import type { DecomposerJob } from './planner/decomposer-job.ts'
import { INTERRUPTED, planDag } from './planner/plan-dag.ts'
import { validated } from './planner/plan-scope.ts'
import * as store from './store/dags.ts'

/** Goals and their plans. */
export function dagsOf(parts: DesiAgentParts) {
  const { db, shared } = parts
  const nowIso = () => shared.now().toISOString()

  return {
    list: (filter: DagFilter, page: PageRequest): Promise<Page<Dag>> => store.listDags(db, filter, page),

    /** @throws DagNotFound */
    async get(id: string): Promise<Dag> {
      const dag = await store.findDag(db, id)
      if (!dag) throw new DagNotFound()
      return dag
    },

    /**
     * Plans a goal. Resolves when planning has ended, whatever its end: look at the DAG's status.
     *
     * @throws AgentNotFound, ProviderNotConfigured before anything is written
     */
    async create(input: NewDag, onPlanned: OnPlanned = async () => {}): Promise<Dag> {
      const planner = await resolveAgent(db, input.agentName ?? 'planner')
      await assertCanPlan(input, planner)
      const dag = draftDag(parts, input, planner)
      const inputs = await keepInputs(parts, dag.id, input.inputs ?? [])
      await parts.directory.putDueWork('planning', dag.id, nowIso())
      await transaction(db, async (tx) => {
        await store.insertDag(tx, dag)
        await store.insertDagInputs(tx, dag.id, inputs)
      })
      return planDag(parts, dag, planner, onPlanned)
    },

    /**
     * Plans a goal and, when that gives a plan, begins to execute it in the same transaction.
     *
     * @returns the execution's id is null when there is nothing to execute
     */
    async createAndExecute(
      input: NewDag,
      onPlanned: OnPlanned = async () => {},
    ): Promise<{ dag: Dag; executionId: string | null }> {
      const execution = newExecution(parts)
      await execution.announce()
      const insertIfPlanned: OnPlanned = async (tx, dagId) => {
        await onPlanned(tx, dagId)
        const planned = await store.findDag(tx, dagId)
        if (planned?.status === 'success') await insertExecutionOf(tx, execution, planned)
      }
      const dag = await this.create(input, insertIfPlanned).catch(async (error: unknown) => {
        await execution.withdraw()
        throw error
      })
      if (dag.status === 'success') execution.wake()
      else await execution.withdraw()
      return { dag, executionId: dag.status === 'success' ? execution.id : null }
    },

    /**
     * Takes the user's answer to the planner's question and plans again.
     *
     * @throws DagNotFound, ClarificationNotAwaited
     */
    async resumeClarification(id: string, answer: string, onPlanned: OnPlanned = async () => {}): Promise<Dag> {
      const dag = await this.get(id)
      if (dag.status !== 'clarification_required') throw new ClarificationNotAwaited({ status: dag.status })
      const planner = await resolveAgent(db, dag.agentName ?? 'planner')
      await assertCanPlan(dag.params, planner) // before anything changes: the answer must not be lost to a missing key
      const clarifications = [...dag.clarifications, { question: dag.clarificationQuery ?? '', answer }]
      await parts.directory.putDueWork('planning', id, nowIso())
      const isMine = await store.updateDag(
        db,
        id,
        { status: 'planning', clarifications },
        nowIso(),
        'clarification_required',
      )
      if (!isMine) throw new ClarificationNotAwaited({ status: 'planning' })
      return planDag(parts, { ...dag, clarifications }, planner, onPlanned)
    },

    /** @throws DagNotFound, DagIsPlanning, PlanInvalid */
    async update(id: string, patch: DagPatch): Promise<Dag> {
      const dag = await this.get(id)
      if (dag.status === 'planning') throw new DagIsPlanning()
      const change: store.DagChange = {}
      if (patch.dagTitle !== undefined) change.dagTitle = patch.dagTitle
      if (patch.params !== undefined) {
        shared.models.resolve(patch.params)
        change.params = patch.params
      }
      if (patch.plan !== undefined) {
        Object.assign(change, {
          plan: await validated(db, patch.plan, dag.agentName),
          status: 'success',
          clarificationQuery: null,
          error: null,
        })
      }
      if (!(await store.updateDag(db, id, change, nowIso(), dag.status))) throw new DagIsPlanning()
      return this.get(id)
    },

    /** @throws DagNotFound, DagHasExecutions, DagIsPlanning */
    async remove(id: string): Promise<void> {
      if (await store.deleteUnusedDag(db, id)) {
        await shared.blobs.deleteAll(`${parts.tenantId}/dags/${id}`)
        return
      }
      const dag = await this.get(id)
      if (dag.status === 'planning') throw new DagIsPlanning()
      throw new DagHasExecutions({ executionCount: await store.countExecutions(db, id) })
    },

    /**
     * Begins an execution of the DAG's plan, checked again: agents and tools may have gone since.
     *
     * @throws DagNotFound, DagNotExecutable, PlanInvalid, ProviderNotConfigured
     */
    async execute(id: string, onStarted: OnPlanned = async () => {}): Promise<{ executionId: string }> {
      const dag = await this.get(id)
      if (dag.status !== 'success' || !dag.plan) throw new DagNotExecutable({ status: dag.status })
      shared.models.resolve(dag.params)
      const checked = { ...dag, plan: await validated(db, dag.plan, dag.agentName) }
      const executionId = await startExecution(parts, async (tx, execution) => {
        await insertExecutionOf(tx, execution, checked)
        await onStarted(tx, execution.id)
      })
      return { executionId }
    },

    /**
     * Begins an execution of a plan that is given, not planned. It is kept as a DAG of its own.
     *
     * @throws PlanInvalid, ProviderNotConfigured
     */
    async executeDefinition(
      input: Definition,
      onStarted: OnPlanned = async () => {},
    ): Promise<{ dagId: string; executionId: string }> {
      shared.models.resolve(input)
      const given = await validated(db, input.definition, null)
      const dag = definitionDag(parts, input, given)
      const executionId = await startExecution(parts, async (tx, execution) => {
        await store.insertDag(tx, dag)
        await insertExecutionOf(tx, execution, dag)
        await onStarted(tx, execution.id)
      })
      return { dagId: dag.id, executionId }
    },

    /** Ends the planning that a process died in. Found through `due_work` at the next start. */
    async interrupt(id: string): Promise<void> {
      await store.updateDag(db, id, { status: 'failed', error: INTERRUPTED }, nowIso(), 'planning')
      await parts.directory.removeDueWork('planning', id)
    },
  }

  /** @throws ProviderNotConfigured, AgentNotFound */
  async function assertCanPlan(params: DagParams, planner: Agent): Promise<void> {
    shared.models.resolve(params, planner)
    shared.models.resolve(params, await resolveAgent(db, 'titler'))
  }

  async function insertExecutionOf(tx: TenantDb, execution: NewExecution, dag: Dag): Promise<void> {
    await execution.insert(tx, { dag, plan: dag.plan as DecomposerJob, inputs: await store.listDagInputs(tx, dag.id) })
  }
}
