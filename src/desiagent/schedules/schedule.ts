import type { Dag, NewDag } from '../dag.ts'
import type { ExecutionLimits } from '../limits.ts'

/** What happens when a schedule comes up while an execution it began has not come to rest. */
export const OVERLAP_POLICIES = ['skip', 'enqueue', 'cancel_previous'] as const
export type OverlapPolicy = (typeof OVERLAP_POLICIES)[number]

/** What happens to moments that passed while nobody could begin anything. */
export const MISSED_RUN_POLICIES = ['skip', 'once', 'all'] as const
export type MissedRunPolicy = (typeof MISSED_RUN_POLICIES)[number]

/** A goal that is planned anew each time. */
export type ScheduledGoal = Pick<
  NewDag,
  'goalText' | 'agentName' | 'inputs' | 'provider' | 'model' | 'temperature' | 'maxTokens' | 'seed'
>

/** Begins executions of a DAG, or of a goal planned anew each time, whenever its cron expression comes up. */
export interface Schedule {
  id: string
  /** Either this or `goal`. */
  dagId: string | null
  /** True for the schedule that a DAG shows as its own; its id is the DAG's. */
  isOfDag: boolean
  goal: ScheduledGoal | null
  /** Five fields of crontab(5), or a word such as `@daily`. */
  cronSchedule: string
  /** IANA name. */
  timezone: string
  scheduleActive: boolean
  overlapPolicy: OverlapPolicy
  missedRunPolicy: MissedRunPolicy
  /** With the policy `all`: how many of the missed moments are made up for, the newest ones. */
  maxMissedRuns: number
  /** Of each execution. */
  limits: ExecutionLimits | null
  /** Null when it is not active, or never comes up again. */
  nextRunAt: string | null
  /** When it last began an execution. */
  lastRunAt: string | null
  /** Who made it; null: a service key. */
  createdBy: string | null
  createdAt: string
  updatedAt: string
}

/** What a DAG shows of its own schedule. */
export type Timing = Pick<Dag, 'cronSchedule' | 'scheduleActive' | 'timezone' | 'nextRunAt' | 'lastRunAt'>

export const NO_SCHEDULE: Timing = {
  cronSchedule: null,
  scheduleActive: false,
  timezone: 'UTC',
  nextRunAt: null,
  lastRunAt: null,
}

export interface ScheduleFilter {
  /** The DAG that is executed. */
  dagId?: string | undefined
  isActive?: boolean | undefined
}

/** What is left out is as the contract says: in UTC, active, without limits. */
export interface NewSchedule {
  /** Either this or `goal`. */
  dagId?: string | undefined
  goal?: ScheduledGoal | undefined
  cronSchedule: string
  timezone?: string | undefined
  scheduleActive?: boolean | undefined
  overlapPolicy?: OverlapPolicy | undefined
  missedRunPolicy?: MissedRunPolicy | undefined
  maxMissedRuns?: number | undefined
  limits?: ExecutionLimits | null | undefined
  createdBy?: string | null | undefined
}

/** What is left out stays. */
export type SchedulePatch = Partial<Omit<NewSchedule, 'dagId' | 'createdBy' | 'cronSchedule'>> & {
  cronSchedule?: string | undefined
}

/**
 * What became of a moment at which a schedule came up.
 * - `due`: about to be begun; `waiting`: for the execution before it to come to rest (policy `enqueue`)
 * - `started`: as `executionId`
 * - `skipped`, `failed`: nothing was begun, for the reason
 */
export const OCCURRENCE_STATUSES = ['due', 'waiting', 'started', 'skipped', 'failed'] as const
export type OccurrenceStatus = (typeof OCCURRENCE_STATUSES)[number]

/** A stable snake_case word, and a sentence for people. */
export interface OccurrenceReason {
  code: string
  message: string
}

export interface Occurrence {
  id: string
  scheduleId: string
  scheduledAt: string
  status: OccurrenceStatus
  /** Why nothing was begun, or what it waits for. */
  reason: OccurrenceReason | null
  /** Of a row that stands for all the missed moments up to its own: how many, at least; else 0. */
  missedCount: number
  /** What is executed; of a goal, once it is planned. */
  dagId: string | null
  executionId: string | null
  createdAt: string
  updatedAt: string
}

/** A moment at which a schedule comes up. */
export interface ScheduledRun {
  /** ISO 8601, UTC. */
  at: string
  /** The same moment in the schedule's time zone, with its offset: `2026-03-29T03:00:00+02:00`. */
  localTime: string
  /**
   * `gap`: the time of day it asks for does not exist on this day, because the clock is put forward; it comes up at the
   * first moment after the gap. `overlap`: the time of day exists twice on this day, because the clock is put back; a
   * schedule at fixed times comes up the first time only, one that repeats (a star in the hour's field) both times.
   */
  clockChange: 'gap' | 'overlap' | null
}
