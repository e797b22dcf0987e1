import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Clock } from '#kit/time.ts'
import type { Blobs } from '#ports/blobs.ts'
import type { Directory } from '#ports/directory.ts'
import type { Log } from '#ports/log.ts'
import type { Metrics } from '#ports/metrics.ts'
import type { OutboundFetch } from '#ports/outbound-fetch.ts'
import type { ExecutionQueue, ExperimentQueue, Turns } from '#ports/queue.ts'
import type { Wake } from '#ports/wake.ts'
import type { LiveAnswers } from './executor/live-answers.ts'
import type { RunningExecutions } from './executor/running.ts'
import type { Metering } from './metering.ts'
import type { Models } from './models/registry.ts'

/** What desiAgent needs from whoever embeds it, for one tenant. */
export interface DesiAgentParts {
  tenantId: string
  db: TenantDb
  directory: Directory
  shared: SharedParts
}

/** The same for all tenants of a process. */
export interface SharedParts {
  models: Models
  blobs: Blobs
  queue: ExecutionQueue
  turns: Turns
  experimentQueue: ExperimentQueue
  wake: Wake
  /** What models are saying now. */
  liveAnswers: LiveAnswers
  fetch: OutboundFetch
  running: RunningExecutions
  metering: Metering
  metrics: Metrics
  settings: EngineSettings
  log: Log
  now: Clock
  newId: () => string
}

export interface EngineSettings {
  /** Sub-steps of one execution that run at once. */
  maxParallelSubSteps: number
  /** How long one call of a model or tool may take, unless its agent says otherwise. */
  stepTimeoutMs: number
  /** Calls of a sub-step that fail for a passing reason, before it has failed. */
  maxAttempts: number
  /** The first pause between two attempts; it doubles, with jitter. */
  retryBaseMs: number
  /** How long work belongs to who took it, unless they renew. */
  leaseMs: number
  /** True when no other process works on these databases: a lease of anybody else is a dead one's. */
  isSoleProcess: boolean
}
