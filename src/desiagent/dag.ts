import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { DecomposerJob } from './planner/decomposer-job.ts'
import type { AttemptReason } from './planner/plan-goal.ts'
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
  /** Of its own schedule: five fields of crontab(5); null: it has none. */
  cronSchedule: string | null
  scheduleActive: boolean
  /** IANA name; UTC without a schedule. */
  timezone: string
  /** Null without an active schedule. */
  nextRunAt: string | null
  lastRunAt: string | null
  /** Who made it; null: a service key. */
  createdBy: string | null
  createdAt: string
  updatedAt: string
}

export interface DagFilter {
  status?: DagStatus | undefined
  agentName?: string | undefined
  /** Words of the title or goal. */
  search?: string | undefined
  /** ISO 8601; inclusive. */
  createdFrom?: string | undefined
  /** ISO 8601; exclusive. */
  createdBefore?: string | undefined
}

/** When a DAG is to run by itself. */
export interface ScheduleFields {
  cronSchedule?: string | null | undefined
  scheduleActive?: boolean | undefined
  timezone?: string | undefined
}

export interface NewDag extends DagParams, ScheduleFields {
  goalText: string
  createdBy?: string | null | undefined
  agentName?: string | undefined
  /** Texts that go along with the goal; every execution can read them by name. */
  inputs?: readonly { name: string; content: string }[] | undefined
}

export interface DagPatch extends ScheduleFields {
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
  createdBy?: string | null | undefined
}

/** Called inside the transaction that ends planning with an answer (a plan, a question, or no valid plan). */
export type OnPlanned = (tx: TenantDb, dagId: string) => Promise<void>
