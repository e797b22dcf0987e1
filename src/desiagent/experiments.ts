import type { CommitWith } from '#kit/context.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { transaction } from '#kit/db/transaction.ts'
import { dagsOf } from './dags.ts'
import { ExperimentNotFound } from './errors.ts'
import { leaseEnd } from './executor/start.ts'
import {
  type Experiment,
  type ExperimentFilter,
  type ExperimentSummary,
  type NewExperiment,
  rankTrials,
  type Trial,
} from './experiment.ts'
import { runExperiment } from './experiments/run-experiment.ts'
import type { DesiAgentParts } from './parts.ts'
import * as store from './store/experiments.ts'
import { NO_USAGE } from './usage.ts'

/** One goal, planned by several models at several temperatures, to compare. */
export function experimentsOf(parts: DesiAgentParts) {
  const { db, directory, shared } = parts
  const dags = dagsOf(parts)
  const nowIso = () => shared.now().toISOString()
  const inHand = new Set<string>()

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
     * Writes an experiment down and wakes a worker to `run` it.
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
      await directory.putDueWork('experiment', experiment.id, leaseEnd(shared))
      try {
        await transaction(db, async (tx) => {
          await store.insertExperiment(tx, experiment, trials)
          await commitWith(tx, experiment.id)
        })
      } catch (error) {
        await directory.removeDueWork('experiment', experiment.id)
        throw error
      }
      shared.experimentQueue.push({ tenantId: parts.tenantId, experimentId: experiment.id })
      return { ...experiment, trials: rankTrials(trials) }
    },

    /**
     * Goes on with an experiment as far as it gets now, in this process once at a time. Never rejects: what is left open
     * is found again through `due_work`.
     */
    async run(id: string): Promise<void> {
      if (inHand.has(id) || shared.running.isDraining) return
      inHand.add(id)
      try {
        // As one planning, so that whoever drains the process waits for the rows of what it interrupts.
        await shared.running.plan(() => runExperiment(parts, dags, id))
      } catch (error) {
        shared.log.error({ err: error, tenantId: parts.tenantId, experimentId: id }, 'an experiment could not be run')
      } finally {
        inHand.delete(id)
      }
    },
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
