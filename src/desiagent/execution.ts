import type { ExecutionLimits, LimitsUsed } from './limits.ts'
import type { TokenUsage } from './usage.ts'

export const EXECUTION_STATUSES = [
  'pending',
  'running',
  'waiting',
  'paused',
  'suspended',
  'completed',
  'partial',
  'failed',
  'cancelled',
] as const
export type ExecutionStatus = (typeof EXECUTION_STATUSES)[number]

export interface Execution {
  id: string
  dagId: string | null
  dagTitle: string
  originalRequest: string
  primaryIntent: string
  status: ExecutionStatus
  startedAt: string | null
  completedAt: string | null
  durationMs: number | null
  totalTasks: number
  completedTasks: number
  failedTasks: number
  waitingTasks: number
  skippedTasks: number
  finalResult: string | null
  synthesisResult: string | null
  suspendedReason: string | null
  suspendedAt: string | null
  retryCount: number
  lastRetryAt: string | null
  /** Steps and synthesis; planning is the DAG's. */
  totalUsage: TokenUsage
  costUsdMicros: number | null
  limits: ExecutionLimits | null
  /** Null without limits. */
  limitsUsed: LimitsUsed | null
  /** It pauses when the sub-steps in flight have ended; null: nobody asked. */
  pauseRequestedAt: string | null
  /** The schedule that began it. */
  scheduleId: string | null
  /** The number of its newest event. */
  lastEventSeq: number
  /** Who began it; null: a service key. */
  createdBy: string | null
  createdAt: string
  updatedAt: string
}

export interface ExecutionFilter {
  status?: ExecutionStatus | undefined
  dagId?: string | undefined
  scheduleId?: string | undefined
  /** Words of its DAG's title or goal. */
  search?: string | undefined
  /** ISO 8601; inclusive. */
  createdFrom?: string | undefined
  /** ISO 8601; exclusive. */
  createdBefore?: string | undefined
}
