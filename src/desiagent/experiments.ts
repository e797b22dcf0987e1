import type { CommitWith } from '#kit/context.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { transaction } from '#kit/db/transaction.ts'
import { ProductError } from '#kit/errors.ts'
import { spentOn } from './costs.ts'
import type { Dag } from './dag.ts'
import { dagsOf } from './dags.ts'
import { ExperimentNotFound } from './errors.ts'
import {
  type Experiment,
  type ExperimentFilter,
  type ExperimentSummary,
  type NewExperiment,
  rankTrials,
  type Trial,
  type TrialEnd,
} from './experiment.ts'
import type { DesiAgentParts } from './parts.ts'
import { INTERRUPTED, UNEXPECTED } from './planner/plan-dag.ts'
import { findDag } from './store/dags.ts'
import * as store from './store/experiments.ts'
import { NO_USAGE } from './usage.ts'

/** Trials of one experiment that are planned at once. */
const TRIALS_AT_ONCE = 4

/** One goal, planned by several models at several temperatures, to compare. */
export function experimentsOf(parts: DesiAgentParts) {
  const { db, directory, shared } = parts
  const dags = dagsOf(parts)
  const nowIso = () => shared.now().toISOString()

  return {
    list: (filter: ExperimentFilter, page: PageRequest): Promise<Page<ExperimentSummary>> =>
      store.listExperiments(db, filter, page),

    /** @throws ExperimentNotFound */
    async get(id: string): Promise<Experiment> {
      const experiment = await store.findExperiment(db, id)
      if (!experiment) throw new ExperimentNotFound()
      return { ...experiment, trials: rankTrials(experiment.trials) }
    },

    /**
     * Writes an experiment down, ready to `run`.
     *
     * @throws AgentNotFound, ProviderNotConfigured, QuotaExceeded before anything is written
     */
    async create(input: NewExperiment, commitWith: CommitWith = async () => {}): Promise<Experiment> {
      const { provider, models } = input
      await dags.admit(
        input.agentName,
        models.map((model) => ({ provider, model })),
      )
      const trials = draftTrials(input)
      const experiment = draftExperiment(shared.newId(), input, trials.length, nowIso())
      await directory.putDueWork('experiment', experiment.id, experiment.createdAt)
      try {
        await transaction(db, async (tx) => {
          await store.insertExperiment(tx, experiment, trials)
          await commitWith(tx, experiment.id)
        })
      } catch (error) {
        await directory.removeDueWork('experiment', experiment.id)
        throw error
      }
      return { ...experiment, trials: rankTrials(trials) }
    },

    /**
     * Plans the trials that wait, some at once, until all have ended or the process goes down. Never rejects: what is
     * left open then is found through `due_work` at the next start.
     */
    run: (id: string): Promise<void> => whileUp(id, () => runPending(id)),

    /** Goes on where an earlier incarnation of the process stopped: what it was planning is over, the rest is run. */
    resume: (id: string): Promise<void> =>
      whileUp(id, async () => {
        await endInterrupted(id)
        await runPending(id)
      }),
  }

  /** As one planning, so that whoever drains the process waits for the rows of what it interrupts. */
  async function whileUp(id: string, work: () => Promise<void>): Promise<void> {
    try {
      await shared.running.plan(work)
    } catch (error) {
      shared.log.error({ err: error, tenantId: parts.tenantId, experimentId: id }, 'an experiment could not be run')
    }
  }

  async function runPending(id: string): Promise<void> {
    const experiment = await store.findExperiment(db, id)
    if (!experiment) return directory.removeDueWork('experiment', id)
    const waiting = experiment.trials.filter(({ status }) => status === 'pending')
    const next = () => (shared.running.isDraining ? undefined : waiting.shift())
    const work = async () => {
      for (let trial = next(); trial; trial = next()) await runTrial(experiment, trial)
    }
    const workers = await Promise.allSettled(Array.from({ length: TRIALS_AT_ONCE }, work))
    if (await store.completeExperiment(db, id, nowIso())) await directory.removeDueWork('experiment', id)
    const broken = workers.find((worker) => worker.status === 'rejected')
    if (broken) throw broken.reason
  }

  async function runTrial(experiment: ExperimentSummary, { position, model, temperature }: Trial): Promise<void> {
    const { id, goalText, createdBy } = experiment
    const dagId = shared.newId()
    if (!(await store.beginTrial(db, id, position, dagId))) return
    const input = {
      goalText,
      createdBy,
      agentName: experiment.agentName ?? undefined,
      provider: experiment.provider ?? undefined,
      model,
      temperature,
      seed: experiment.seed ?? undefined,
    }
    try {
      const dag = await dags.create(
        input,
        async (tx) => store.endTrial(tx, id, position, endOf((await findDag(tx, dagId)) as Dag), nowIso()),
        dagId,
      )
      // Out of reach: planning has ended, without an answer.
      if (dag.status === 'failed') await store.endTrial(db, id, position, endOf(dag), nowIso())
    } catch (error) {
      await store.endTrial(db, id, position, await endByError(error, dagId), nowIso())
    }
  }

  async function endByError(error: unknown, dagId: string): Promise<TrialEnd> {
    const dag = await findDag(db, dagId)
    if (error instanceof ProductError) return failed(dag, { code: error.code, message: error.message })
    shared.log.error({ err: error, tenantId: parts.tenantId, dagId }, 'a trial of an experiment could not be planned')
    return { ...failed(dag, UNEXPECTED), costUsdMicros: null }
  }

  async function endInterrupted(id: string): Promise<void> {
    const experiment = await store.findExperiment(db, id)
    const left = experiment?.trials.filter(({ status }) => status === 'running') ?? []
    for (const { position, dagId } of left) {
      const dag = dagId === null ? null : await findDag(db, dagId)
      await store.endTrial(db, id, position, endOfLeft(dag), nowIso())
    }
  }
}

function draftExperiment(id: string, input: NewExperiment, totalTrials: number, at: string): ExperimentSummary {
  const { goalText, agentName = null, provider = null, seed = null, createdBy = null } = input
  return {
    id,
    status: 'running',
    goalText,
    agentName,
    provider,
    seed,
    totalTrials,
    endedTrials: 0,
    createdBy,
    completedAt: null,
    createdAt: at,
    updatedAt: at,
  }
}

function draftTrials({ models, temperatures }: NewExperiment): Trial[] {
  const pairs = models.flatMap((model) => temperatures.map((temperature) => ({ model, temperature })))
  return pairs.map((pair, index) => ({
    ...pair,
    position: index + 1,
    status: 'pending',
    dagId: null,
    error: null,
    taskCount: null,
    usage: NO_USAGE,
    costUsdMicros: null,
    durationMs: null,
  }))
}

/** A trial ends as the planning of its DAG has ended. */
function endOf(dag: Dag): TrialEnd {
  return {
    ...spentOn(dag.planningAttempts),
    status: dag.status as TrialEnd['status'],
    dagId: dag.id,
    error: dag.error && { code: dag.error.code, message: dag.error.message },
    taskCount: dag.status === 'success' ? (dag.plan?.sub_tasks.length ?? null) : null,
    durationMs: Date.parse(dag.updatedAt) - Date.parse(dag.createdAt),
  }
}

function failed(dag: Dag | null, error: { code: string; message: string }): TrialEnd {
  const nothing = { ...spentOn([]), dagId: null, taskCount: null, durationMs: null }
  return { ...(dag ? endOf(dag) : nothing), status: 'failed', error }
}

/** What a process that died left running: over, unless its DAG got its end in time. */
function endOfLeft(dag: Dag | null): TrialEnd {
  const hasEnd = dag !== null && dag.status !== 'planning' && dag.error?.code !== INTERRUPTED.code
  // Nobody knows what the call cost that was in flight, nor when it all stopped.
  return hasEnd ? endOf(dag) : { ...failed(dag, INTERRUPTED), costUsdMicros: null, durationMs: null }
}
