import type { DagStatus } from './dag.ts'
import type { TokenUsage } from './usage.ts'

export type ExperimentStatus = 'running' | 'completed'

/** While it waits and runs; then as the planning of its DAG ended. */
export type TrialStatus = 'pending' | 'running' | Exclude<DagStatus, 'planning'>

/** How a trial ended, kept apart from its DAG: that may be changed or deleted. */
export interface TrialEnd {
  status: Exclude<DagStatus, 'planning'>
  /** Null when there is none: it was refused before it was made. */
  dagId: string | null
  error: { code: string; message: string } | null
  /** Null without a plan. */
  taskCount: number | null
  usage: TokenUsage
  /** Null: a part of it is not known. */
  costUsdMicros: number | null
  durationMs: number | null
}

/** One goal planned with one model at one temperature. */
export interface Trial extends Omit<TrialEnd, 'status'> {
  /** From 1, in the order asked for. */
  position: number
  model: string
  temperature: number
  status: TrialStatus
}

export interface RankedTrial extends Trial {
  /** From 1, the best; null until it has ended. */
  rank: number | null
}

export interface ExperimentSummary {
  id: string
  status: ExperimentStatus
  goalText: string
  agentName: string | null
  provider: string | null
  seed: number | null
  totalTrials: number
  endedTrials: number
  /** Who made it; null: a service key. */
  createdBy: string | null
  completedAt: string | null
  createdAt: string
  updatedAt: string
}

export interface Experiment extends ExperimentSummary {
  /** Ranked ones first, the best at the top. */
  trials: RankedTrial[]
}

export interface NewExperiment {
  goalText: string
  agentName?: string | undefined
  provider?: string | undefined
  models: readonly string[]
  temperatures: readonly number[]
  seed?: number | undefined
  createdBy?: string | null | undefined
}

export interface ExperimentFilter {
  status?: ExperimentStatus | undefined
  /** ISO 8601; inclusive. */
  createdFrom?: string | undefined
  /** ISO 8601; exclusive. */
  createdBefore?: string | undefined
}

function hasEnded({ status }: Trial): boolean {
  return status !== 'pending' && status !== 'running'
}

/**
 * The best first: a valid plan before none, then fewer tasks, fewer tokens, lower cost, less time; what is not known
 * comes last, and of equals the one asked for first. Those that have not ended stand behind, without a rank.
 */
export function rankTrials(trials: readonly Trial[]): RankedTrial[] {
  const ended = trials.filter(hasEnded).toSorted(compareTrials)
  const open = trials.filter((trial) => !hasEnded(trial)).toSorted((a, b) => a.position - b.position)
  return [
    ...ended.map((trial, index) => ({ ...trial, rank: index + 1 })),
    ...open.map((trial) => ({ ...trial, rank: null })),
  ]
}

function compareTrials(a: Trial, b: Trial): number {
  const [left, right] = [merits(a), merits(b)]
  const index = left.findIndex((merit, at) => merit !== right[at])
  return index === -1 ? 0 : (left[index] as number) - (right[index] as number)
}

/** Smaller is better, the first difference decides. */
function merits(trial: Trial): number[] {
  return [
    trial.status === 'success' ? 0 : 1,
    trial.taskCount ?? Number.POSITIVE_INFINITY,
    trial.usage.totalTokens,
    trial.costUsdMicros ?? Number.POSITIVE_INFINITY,
    trial.durationMs ?? Number.POSITIVE_INFINITY,
    trial.position,
  ]
}
