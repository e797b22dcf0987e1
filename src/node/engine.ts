import { LiveAnswers } from '#desiagent/executor/live-answers.ts'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgent, type EngineSettings, type SharedParts } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import { createMetering } from '#features/billing/usage/metering.ts'
import { SharedLogs } from '#features/workflows/executions/shared-log.ts'
import type { EventStreams } from '#features/workflows/executions/stream.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { directoryOf } from '#kit/db/directory.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { OpenStreams } from '#kit/http/open-streams.ts'
import { newId } from '#kit/ids.ts'
import { localWake } from '#kit/local-wake.ts'
import { FairQueue } from '#platform/node/fair-queue.ts'
import { guardedFetch } from '#platform/node/outbound-fetch.ts'
import { type PromMetrics, promMetrics } from '#platform/node/prom-metrics.ts'
import { Ticker } from '#platform/node/ticker.ts'
import type { ExecutionJob, ExperimentJob, ScheduleJob } from '#ports/queue.ts'
import type { Config } from '../config.ts'
import { createJobs, type HandledWork } from '../jobs.ts'
import { engineOperations, storeOperations, tenantOperations } from '../tenant-operations.ts'
import type { Overrides, Stores } from './stores.ts'

/** A schedule fires within about a second of its moment; a look that finds nothing is one indexed read. */
const TICK_EVERY_MS = 1_000
/** Tenants whose due work is done at once; a moment's work each. */
const DUE_WORK_AT_ONCE = 8
/** Firing one may take minutes, when it plans a goal; what has come up is written down without waiting for that. */
const SCHEDULES_AT_ONCE = { concurrency: 200, perTenant: 50 }
/** Each plans some trials at once: a burst of experiments must leave room for executions. */
const EXPERIMENTS_AT_ONCE = 5

/** What runs in this process, with or without a request. */
export interface Engine {
  queue: FairQueue<ExecutionJob>
  experimentQueue: FairQueue<ExperimentJob>
  dueWorkQueue: FairQueue<HandledWork>
  scheduleQueue: FairQueue<ScheduleJob>
  running: RunningExecutions
  models: Models
  streams: EventStreams
  metrics: PromMetrics
  fetch: ReturnType<typeof guardedFetch>
  ticker: Ticker
  jobs: ReturnType<typeof createJobs>
  tenants: TenantOperations
  desiOf(tenantId: string, db: TenantDb): DesiAgent
}

/** @param stopping  aborts when the process goes down */
export function createEngine(stores: Stores, overrides: Overrides, stopping: AbortSignal): Engine {
  const { config, control, homes, blobs, log, now } = stores
  const queues = queuesOf(config)
  const { queue, experimentQueue } = queues
  const running = new RunningExecutions(newId())
  const models = new Models(config.models)
  const wake = localWake()
  const liveAnswers = new LiveAnswers(wake)
  const streams = {
    open: new OpenStreams(stopping, config.MAX_STREAMS_PER_TENANT, overrides.readerLimitMs),
    wake,
    logs: new SharedLogs(wake),
    liveAnswers,
  }
  const fetch = guardedFetch({ allow: config.OUTBOUND_ALLOW })
  const metrics = promMetrics({
    modelLabel: (provider, model) => models.label(provider, model),
    gauges: {
      desi_executions_running: { help: 'Executions this process runs now.', read: () => running.count },
      desi_executions_queued: { help: 'Executions that wait for their turn here.', read: () => queue.waitingCount },
      desi_open_tenants: { help: 'Tenant databases held open.', read: () => homes.openCount },
      desi_open_streams: { help: 'Event streams and exports that are being read.', read: () => streams.open.count },
    },
  })
  const metering = createMetering({ newId, now })
  const settings = { ...engineSettings(config), ...overrides.engine }
  const shared: SharedParts = {
    models,
    blobs,
    queue,
    turns: queue,
    experimentQueue,
    wake,
    liveAnswers,
    fetch,
    running,
    metering,
    metrics,
    settings,
    log,
    now,
    newId,
  }
  const desiOf = desiAgents(control, shared)
  const tenants = tenantOperations(stores, { ...storeOperations(now), ...engineOperations(desiOf) })
  const jobs = createJobs({
    control,
    homes,
    tenants,
    desiOf,
    ...queues,
    isSoleProcess: settings.isSoleProcess,
    stopping,
    log,
    now,
  })
  const ticker = new Ticker({ work: jobs.takeDueWork, everyMs: TICK_EVERY_MS, now, log })
  return { ...queues, running, models, streams, metrics, fetch, ticker, jobs, tenants, desiOf }
}

function queuesOf(config: Config) {
  return {
    queue: new FairQueue<ExecutionJob>({
      concurrency: config.MAX_CONCURRENT_EXECUTIONS,
      perTenant: config.MAX_CONCURRENT_EXECUTIONS_PER_TENANT,
    }),
    experimentQueue: new FairQueue<ExperimentJob>({
      concurrency: EXPERIMENTS_AT_ONCE,
      perTenant: EXPERIMENTS_AT_ONCE,
    }),
    dueWorkQueue: new FairQueue<HandledWork>({ concurrency: DUE_WORK_AT_ONCE, perTenant: 1 }),
    scheduleQueue: new FairQueue<ScheduleJob>(SCHEDULES_AT_ONCE),
  }
}

/** One desiAgent for each open database; closing the database lets go of it. */
function desiAgents(control: ControlDb, shared: SharedParts): (tenantId: string, db: TenantDb) => DesiAgent {
  const known = new WeakMap<TenantDb, DesiAgent>()
  return (tenantId, db) => {
    const desi = known.get(db) ?? createDesiAgent({ tenantId, db, directory: directoryOf(control, tenantId), shared })
    known.set(db, desi)
    return desi
  }
}

function engineSettings(config: Config): EngineSettings {
  return {
    maxParallelSubSteps: config.MAX_PARALLEL_SUB_STEPS,
    stepTimeoutMs: config.STEP_TIMEOUT_MS,
    maxAttempts: 3,
    retryBaseMs: config.RETRY_BASE_MS,
    leaseMs: 30_000,
    isSoleProcess: true,
  }
}
