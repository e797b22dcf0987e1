import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { type Agent, resolveAgent } from './agents.ts'
import {
  ClarificationNotAwaited,
  DagHasExecutions,
  DagIsPlanning,
  DagNotExecutable,
  DagNotFound,
  PlanInvalid,
} from './errors.ts'
import { type NewExecution, newExecution, startExecution } from './executor/start.ts'
import type { DesiAgentParts } from './parts.ts'
import type { DecomposerJob } from './planner/decomposer-job.ts'
import {
  type AttemptReason,
  type PlanningCall,
  type PlanningOutcome,
  planGoal,
  titleFromGoal,
} from './planner/plan-goal.ts'
import { type PlanScope, validatePlan } from './planner/validate-plan.ts'
import { listActiveAgents } from './store/agents.ts'
import * as store from './store/dags.ts'
import { insertModelCalls } from './store/model-calls.ts'
import { contentTypeOf } from './tools/content-type.ts'
import { describeTools, findTool } from './tools/registry.ts'
import type { TokenUsage } from './usage.ts'

export type DagStatus = 'planning' | 'success' | 'clarification_required' | 'validation_error' | 'failed'

/** Wishes for the model; what is left out is the agent's or the server's. */
export interface DagParams {
  provider?: string | undefined
  model?: string | undefined
  temperature?: number | undefined
  maxTokens?: number | undefined
  seed?: number | undefined
}

export interface PlanningAttempt {
  attempt: number
  reason: AttemptReason
  usage: TokenUsage
  costUsdMicros: number | null
  errorMessage: string | null
}

export interface Clarification {
  question: string
  answer: string
}

export interface DagInput {
  name: string
  contentType: string
  sizeBytes: number
  blobKey: string
}

export interface Dag {
  id: string
  dagTitle: string
  status: DagStatus
  goalText: string
  /** Null when the plan was given, not planned. */
  agentName: string | null
  agentVersion: string | null
  params: DagParams
  plan: DecomposerJob | null
  clarificationQuery: string | null
  clarifications: Clarification[]
  planningAttempts: PlanningAttempt[]
  /** Why there is no plan. */
  error: { code: string; message: string; problems?: string[] } | null
  createdAt: string
  updatedAt: string
}

export interface DagFilter {
  status?: DagStatus | undefined
}

export interface NewDag extends DagParams {
  goalText: string
  agentName?: string | undefined
  /** Texts that go along with the goal; every execution can read them by name. */
  inputs?: readonly { name: string; content: string }[] | undefined
}

export interface DagPatch {
  dagTitle?: string | undefined
  params?: DagParams | undefined
  /** Anything; it enters only through the validator. */
  plan?: unknown
}

export interface Definition {
  definition: unknown
  title?: string | undefined
  provider?: string | undefined
  model?: string | undefined
}

/** Called inside the transaction that ends planning with an answer (a plan, a question, or no valid plan). */
export type OnPlanned = (tx: TenantDb, dagId: string) => Promise<void>

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
      shared.models.resolve(input, planner)
      const dag = draft(input, planner)
      const inputs = await keepInputs(dag.id, input.inputs ?? [])
      await parts.directory.putDueWork('planning', dag.id, nowIso())
      await transaction(db, async (tx) => {
        await store.insertDag(tx, dag)
        await store.insertDagInputs(tx, dag.id, inputs)
      })
      return plan(dag, planner, onPlanned)
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
      const dag = await this.create(input, async (tx, dagId) => {
        await onPlanned(tx, dagId)
        const planned = await store.findDag(tx, dagId)
        if (planned?.status === 'success') await insertExecutionOf(tx, execution, planned)
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
      return plan({ ...dag, clarifications }, planner, onPlanned)
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
          plan: await validated(patch.plan),
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
      const inputs = await store.listDagInputs(db, id)
      if (await store.deleteUnusedDag(db, id)) {
        await Promise.all(inputs.map(({ blobKey }) => shared.blobs.delete(blobKey)))
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
      const checked = { ...dag, plan: await validated(dag.plan) }
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
      const given = await validated(input.definition)
      if (given.clarification_needed)
        throw new PlanInvalid({ problems: ['A definition that asks for clarification cannot be executed.'] })
      const dag = definitionDag(input, given)
      const executionId = await startExecution(parts, async (tx, execution) => {
        await store.insertDag(tx, dag)
        await insertExecutionOf(tx, execution, dag)
        await onStarted(tx, execution.id)
      })
      return { dagId: dag.id, executionId }
    },

    /** Ends the planning that a process died in. Found through `due_work` at the next start. */
    async interrupt(id: string): Promise<void> {
      const error = {
        code: 'interrupted',
        message: 'The server stopped while this goal was being planned. Create it again.',
      }
      await store.updateDag(db, id, { status: 'failed', error }, nowIso(), 'planning')
      await parts.directory.removeDueWork('planning', id)
    },
  }

  function draft(input: NewDag, planner: Agent): Dag {
    const { provider, model, temperature, maxTokens, seed } = input
    const at = nowIso()
    return {
      id: shared.newId(),
      dagTitle: titleFromGoal(input.goalText),
      status: 'planning',
      goalText: input.goalText,
      agentName: planner.name,
      agentVersion: planner.version,
      params: { provider, model, temperature, maxTokens, seed },
      plan: null,
      clarificationQuery: null,
      clarifications: [],
      planningAttempts: [],
      error: null,
      createdAt: at,
      updatedAt: at,
    }
  }

  function definitionDag({ title, provider, model }: Definition, plan: DecomposerJob): Dag {
    const at = nowIso()
    return {
      id: shared.newId(),
      dagTitle: title ?? plan.title ?? titleFromGoal(plan.original_request),
      status: 'success',
      goalText: plan.original_request,
      agentName: null,
      agentVersion: null,
      params: { provider, model },
      plan,
      clarificationQuery: null,
      clarifications: [],
      planningAttempts: [],
      error: null,
      createdAt: at,
      updatedAt: at,
    }
  }

  /** Bytes first, rows later: a blob without a row is waste, a row without its blob is a loss. */
  async function keepInputs(dagId: string, inputs: readonly { name: string; content: string }[]): Promise<DagInput[]> {
    return Promise.all(
      inputs.map(async ({ name, content }) => {
        const bytes = new TextEncoder().encode(content)
        const blobKey = `${parts.tenantId}/dags/${dagId}/${shared.newId()}`
        await shared.blobs.put(blobKey, bytes)
        return { name, contentType: contentTypeOf(name), sizeBytes: bytes.byteLength, blobKey }
      }),
    )
  }

  async function plan(dag: Dag, planner: Agent, onPlanned: OnPlanned): Promise<Dag> {
    const attempts = [...dag.planningAttempts]
    const outcome = await askPlanner(dag, planner, attempts).catch(async (error: unknown) => {
      // Not one of planning's own ends: the DAG must not stay "planning" until the next restart.
      await store.updateDag(db, dag.id, { status: 'failed', error: UNEXPECTED }, nowIso(), 'planning')
      throw error
    })
    await transaction(db, async (tx) => {
      await store.updateDag(tx, dag.id, changeBy(outcome), nowIso(), 'planning')
      if (outcome.status !== 'failed') await onPlanned(tx, dag.id)
    })
    await parts.directory.removeDueWork('planning', dag.id)
    return (await store.findDag(db, dag.id)) as Dag
  }

  async function askPlanner(dag: Dag, planner: Agent, attempts: PlanningAttempt[]): Promise<PlanningOutcome> {
    const titler = await resolveAgent(db, 'titler')
    const [scope, inputs, agents] = await Promise.all([
      planScope(planner),
      store.listDagInputs(db, dag.id),
      listActiveAgents(db),
    ])
    const brief = {
      goalText: dag.goalText,
      inputs,
      tools: describeTools(planner.allowedTools).map(({ name, description, parameters }) => ({
        name,
        description,
        parameters,
      })),
      agents: agents.filter(({ name }) => !['planner', 'titler', 'synthesizer'].includes(name)),
      clarifications: dag.clarifications,
      today: nowIso().slice(0, 10),
    }
    return planGoal(
      {
        brief,
        scope,
        planner: { agent: planner, model: shared.models.resolve(dag.params, planner) },
        titler: { agent: titler, model: shared.models.resolve(dag.params, titler) },
        params: dag.params,
        idempotencyKey: `${dag.id}/plan/${dag.clarifications.length}`,
        record: (planned) => keepAttempt(dag.id, attempts, planned),
        signal: new AbortController().signal,
      },
      shared,
    )
  }

  async function keepAttempt(dagId: string, attempts: PlanningAttempt[], planned: PlanningCall): Promise<void> {
    const { attempt, reason, errorMessage, call } = planned
    attempts.push({ attempt, reason, usage: call.usage, costUsdMicros: call.costUsdMicros, errorMessage })
    const purpose = reason === 'title_master' ? 'title' : 'planning'
    await transaction(db, async (tx) => {
      await store.updateDag(tx, dagId, { planningAttempts: attempts }, nowIso())
      await insertModelCalls(tx, [
        { ...call, id: shared.newId(), purpose, dagId, executionId: null, subStepId: null, attempt },
      ])
    })
  }

  async function planScope(planner: Agent | null): Promise<PlanScope> {
    const agents = await listActiveAgents(db)
    return { findTool, allowedTools: planner?.allowedTools ?? null, agentNames: agents.map(({ name }) => name) }
  }

  async function validated(candidate: unknown): Promise<DecomposerJob> {
    const verdict = validatePlan(candidate, await planScope(null))
    if (!verdict.ok) throw new PlanInvalid({ problems: verdict.problems })
    return verdict.plan
  }

  async function insertExecutionOf(tx: TenantDb, execution: NewExecution, dag: Dag): Promise<void> {
    await execution.insert(tx, { dag, plan: dag.plan as DecomposerJob, inputs: await store.listDagInputs(tx, dag.id) })
  }
}

const UNEXPECTED = { code: 'internal_error', message: 'Something went wrong on our side while planning.' }

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
      return { status: 'failed', error: { code: outcome.error.code, message: outcome.error.message } }
  }
}
