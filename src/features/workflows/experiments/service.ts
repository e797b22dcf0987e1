import type { Experiment as ExperimentRecord } from '#desiagent/experiment.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { WorkflowContext } from '../context.ts'
import type { CreateExperiment, Experiment, ExperimentSummary, ListExperimentsQuery } from './contract.ts'

/**
 * Writes an experiment down; its trials are planned behind the answer, as soon as it is its turn.
 *
 * @throws AgentNotFound, ProviderNotConfigured, QuotaExceeded; nothing is written then
 */
export async function createExperiment(ctx: WorkflowContext, input: CreateExperiment): Promise<Experiment> {
  return present(await ctx.desi.experiments.create({ ...input, createdBy: ctx.actor.userId }, ctx.commitWith))
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
