import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgent, type EngineSettings, type SharedParts } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import { createMetering } from '#features/billing/usage/metering.ts'
import type { EventStreams } from '#features/workflows/executions/stream.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { directoryOf } from '#kit/db/directory.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { OpenStreams } from '#kit/http/open-streams.ts'
import { newId } from '#kit/ids.ts'
import { localWake } from '#kit/local-wake.ts'
import { InProcessQueue } from '#platform/node/in-process-queue.ts'
import { guardedFetch } from '#platform/node/outbound-fetch.ts'
import { type PromMetrics, promMetrics } from '#platform/node/prom-metrics.ts'
import { Ticker } from '#platform/node/ticker.ts'
import type { ExecutionJob, ExperimentJob } from '#ports/queue.ts'
import type { Config } from '../config.ts'
import { createJobs } from '../jobs.ts'
import { engineOperations, storeOperations, tenantOperations } from '../tenant-operations.ts'
import type { Overrides, Stores } from './stores.ts'

const TICK_EVERY_MS = 60_000
/** Each plans some trials at once: a burst of experiments must leave room for executions. */
const EXPERIMENTS_AT_ONCE = 5

/** What runs in this process, with or without a request. */
export interface Engine {
  queue: InProcessQueue<ExecutionJob>
  experimentQueue: InProcessQueue<ExperimentJob>
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
  const queue = new InProcessQueue<ExecutionJob>(config.MAX_CONCURRENT_EXECUTIONS)
  const experimentQueue = new InProcessQueue<ExperimentJob>(EXPERIMENTS_AT_ONCE)
  const running = new RunningExecutions(newId())
  const models = new Models(config.models)
  const wake = localWake()
  const streams = { open: new OpenStreams(stopping), wake }
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
    experimentQueue,
    wake,
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
  const jobs = createJobs({ control, homes, tenants, desiOf, queue, experimentQueue, log, now })
  const ticker = new Ticker({ work: () => jobs.tick(stopping), everyMs: TICK_EVERY_MS, now, log })
  return { queue, experimentQueue, running, models, streams, metrics, fetch, ticker, jobs, tenants, desiOf }
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
