import type { Experiment as ExperimentRecord } from '#desiagent/experiment.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { WorkflowContext } from '../context.ts'
import type { CreateExperiment, Experiment, ExperimentSummary, ListExperimentsQuery } from './contract.ts'

/**
 * Writes an experiment down and begins to plan its trials. They go on behind the answer, with the database held open.
 *
 * @throws AgentNotFound, ProviderNotConfigured, QuotaExceeded; nothing is written then
 */
export async function createExperiment(ctx: WorkflowContext, input: CreateExperiment): Promise<Experiment> {
  const { experiments } = ctx.desi
  const created = await experiments.create({ ...input, createdBy: ctx.actor.userId }, ctx.commitWith)
  void experiments.run(created.id).finally(ctx.hold()) // never rejects
  return present(created)
}

export function listExperiments(
  ctx: WorkflowContext,
  query: ListExperimentsQuery,
  page: PageRequest,
): Promise<Page<ExperimentSummary>> {
  return ctx.desi.experiments.list({ status: query.status, ...createdRange(query) }, page)
}

export async function getExperiment(ctx: WorkflowContext, id: string): Promise<Experiment> {
  return present(await ctx.desi.experiments.get(id))
}

function present({ trials, ...experiment }: ExperimentRecord): Experiment {
  return { ...experiment, trials: trials.map(({ position: _, ...trial }) => trial) }
}
