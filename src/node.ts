import { homedir } from 'node:os'
import { join } from 'node:path'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgent, type EngineSettings, type SharedParts } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import { createMetering } from '#features/billing/usage/metering.ts'
import { FailedSecrets } from '#features/identity/api-keys/failed-secrets.ts'
import { KeyVerifier } from '#features/identity/api-keys/verify.ts'
import { EventStreams } from '#features/workflows/executions/stream.ts'
import type { TenantOperations } from '#kit/context.ts'
import { bcryptHasher, type SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { directoryOf } from '#kit/db/directory.ts'
import { TenantHomes } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { AddressLimit, CallLimits } from '#kit/http/rate-limit.ts'
import { newId } from '#kit/ids.ts'
import { localWake } from '#kit/local-wake.ts'
import type { Clock } from '#kit/time.ts'
import { DataDirInUse, lockDataDir } from '#platform/node/data-dir-lock.ts'
import { diskBlobs } from '#platform/node/disk-blobs.ts'
import { InProcessQueue } from '#platform/node/execution-queue.ts'
import { freeDiskBytes } from '#platform/node/free-disk.ts'
import { addressFromSocket, type HttpServer, listen } from '#platform/node/http-server.ts'
import { keyedDigest } from '#platform/node/keyed-digest.ts'
import { guardedFetch } from '#platform/node/outbound-fetch.ts'
import { pinoLog } from '#platform/node/pino-log.ts'
import { promMetrics } from '#platform/node/prom-metrics.ts'
import { smtpMail } from '#platform/node/smtp-mail.ts'
import { sqliteDatabases } from '#platform/node/sqlite/databases.ts'
import { swaggerAssets } from '#platform/node/swagger-assets.ts'
import { Ticker } from '#platform/node/ticker.ts'
import type { Blobs } from '#ports/blobs.ts'
import type { Log } from '#ports/log.ts'
import { createApp } from './app.ts'
import { type Config, ConfigError, readConfig, secretsOf } from './config.ts'
import { dependenciesOf } from './dependencies.ts'
import { createJobs } from './jobs.ts'
import { engineOperations, storeOperations, tenantOperations } from './tenant-operations.ts'

/** What a test puts in the place of the real thing. */
export interface Overrides {
  now?: Clock
  hasher?: SecretHasher
  log?: Log
  engine?: Partial<EngineSettings>
}

export interface Stores {
  config: Config
  dataDir: string
  control: ControlDb
  homes: TenantHomes
  blobs: Blobs
  /** Without what needs desiAgent: the running server has its own. */
  tenants: TenantOperations
  hasher: SecretHasher
  log: Log
  now: Clock
  close(): Promise<void>
}

const STDOUT = 1

/** Opens the control database and the way to the tenants': all that commands such as bootstrap need. */
export async function openStores(config: Config, overrides: Overrides = {}): Promise<Stores> {
  const dataDir = dataDirOf(config)
  const databases = sqliteDatabases(dataDir, config.SQLITE_SYNCHRONOUS)
  const control = await databases.openControl()
  const homes = new TenantHomes(databases, config.MAX_OPEN_TENANTS)
  const blobs = diskBlobs(join(dataDir, 'blobs'))
  const now = overrides.now ?? (() => new Date())
  return {
    config,
    dataDir,
    control,
    homes,
    blobs,
    tenants: tenantOperations({ homes, blobs }, storeOperations(now)),
    hasher: overrides.hasher ?? bcryptHasher(config.API_KEY_BCRYPT_COST),
    log: overrides.log ?? pinoLog(config.LOG_LEVEL, STDOUT, secretsOf(config)),
    now,
    async close() {
      await homes.close()
      await control.destroy()
    },
  }
}

export interface Api {
  app: ReturnType<typeof createApp>
  stores: Stores
  /** Runs what is queued and what an earlier incarnation left unfinished. */
  startWork(): Promise<void>
  /** Does now what has become due; the server does it every minute. */
  tick(): Promise<void>
  /** When that was last done, epoch milliseconds; null when never yet. */
  lastTickAtMs(): number | null
  /** Ends streams, begins nothing more, and lets calls in flight finish for at most `graceMs` before it aborts them. */
  drain(graceMs: number): Promise<void>
  /** Closes what is open, after draining. */
  close(): Promise<void>
}

/**
 * The whole application in this process, without a listening socket.
 *
 * @throws DataDirInUse when another server has the data folder
 */
export async function openApi(config: Config, overrides: Overrides = {}): Promise<Api> {
  const unlock = lockDataDir(dataDirOf(config))
  const stores = await openStores(config, overrides).catch((error: unknown) => {
    unlock()
    throw error
  })
  const { control, homes, blobs, log, now, hasher } = stores
  const nowMs = () => now().getTime()
  const startedAtMs = nowMs()
  const queue = new InProcessQueue(config.MAX_CONCURRENT_EXECUTIONS)
  const running = new RunningExecutions(newId())
  const models = new Models(config.models)
  const wake = localWake()
  const stopping = new AbortController()
  const streams = new EventStreams(wake, stopping.signal)
  const metrics = promMetrics({
    modelLabel: (provider, model) => models.label(provider, model),
    gauges: {
      desi_executions_running: { help: 'Executions this process runs now.', read: () => running.count },
      desi_executions_queued: { help: 'Executions that wait for their turn here.', read: () => queue.waitingCount },
      desi_open_tenants: { help: 'Tenant databases held open.', read: () => homes.openCount },
      desi_open_streams: { help: 'Event streams that are being read.', read: () => streams.openCount },
    },
  })
  const fetch = guardedFetch({ allow: config.OUTBOUND_ALLOW })
  const shared: SharedParts = {
    models,
    blobs,
    queue,
    wake,
    fetch,
    running,
    metering: createMetering({ newId, now }),
    metrics,
    settings: { ...engineSettings(config), ...overrides.engine },
    log,
    now,
    newId,
  }
  const desiOf = desiAgents(control, shared)
  const tenants = tenantOperations(stores, { ...storeOperations(now), ...engineOperations(desiOf) })
  const jobs = createJobs({ control, homes, tenants, desiOf, queue, log, now })
  const ticker = new Ticker({ work: () => jobs.tick(stopping.signal), everyMs: TICK_EVERY_MS, now, log })
  const addressLimit = new AddressLimit(config.RATE_LIMIT_ADDRESS_PER_MINUTE, nowMs)
  const environment = config.API_KEY_ENV
  const app = createApp({
    frame: {
      log,
      metrics,
      bodyLimitBytes: config.BODY_LIMIT_BYTES,
      corsOrigins: config.CORS_ORIGINS,
      addressOf: addressFromSocket(config.TRUSTED_PROXIES),
      stopping: stopping.signal,
    },
    limits: new CallLimits(
      {
        apiPerMinute: config.RATE_LIMIT_API_PER_MINUTE,
        authPerMinute: config.RATE_LIMIT_AUTH_PER_MINUTE,
        executePerMinute: config.RATE_LIMIT_EXECUTE_PER_MINUTE,
      },
      nowMs,
    ),
    addressLimit,
    verifier: new KeyVerifier({
      control,
      homes,
      hasher,
      digest: keyedDigest(),
      environment,
      failedSecrets: new FailedSecrets(nowMs),
      addressLimit,
      nowMs,
    }),
    keyMaking: { hasher, environment },
    invitationPost: { mail: config.mail && smtpMail(config.mail, log), linkTemplate: config.INVITE_URL ?? null },
    control,
    tenants,
    withDesi: (ctx) => ({ ...ctx, desi: desiOf(ctx.tenant.id, ctx.db) }),
    streams,
    assets: swaggerAssets(),
    vitals: {
      startedAtMs,
      now,
      model: models.default,
      dependencies: dependenciesOf({
        control,
        homes,
        models: config.models,
        freeDiskBytes: () => freeDiskBytes(stores.dataDir),
        minFreeDiskBytes: config.MIN_FREE_DISK_BYTES,
        lastTickAtMs: () => ticker.lastTickAtMs,
        startedAtMs,
        nowMs,
      }),
      scheduler: () => ({ runningExecutions: running.count, queuedExecutions: queue.waitingCount }),
      log,
    },
    exposition: metrics.exposition,
    now,
  })
  let abortLate: ReturnType<typeof setTimeout> | undefined
  return {
    app,
    stores,
    async startWork() {
      const unfinished = await jobs.findUnfinished() // first: what is due later on is this process's own
      queue.start(jobs.runExecution)
      await jobs.recover(unfinished)
      ticker.start()
    },
    tick: () => ticker.tick(),
    lastTickAtMs: () => ticker.lastTickAtMs,
    async drain(graceMs) {
      stopping.abort()
      running.drain()
      abortLate = setTimeout(() => running.stopAll(), graceMs)
      await Promise.all([queue.stop(), running.plannings(), ticker.stop()])
    },
    async close() {
      clearTimeout(abortLate)
      await fetch.close()
      await stores.close()
      unlock()
    },
  }
}

const TICK_EVERY_MS = 60_000

/** Calls that are aborted at the end of the grace still get an answer. */
const LAST_ANSWERS_MS = 500

export interface RunningServer {
  url: string
  api: Api
  stop(): Promise<void>
}

/** Opens the application and listens. */
export async function startServer(config: Config, overrides: Overrides = {}): Promise<RunningServer> {
  const api = await openApi(config, overrides)
  let server: HttpServer
  try {
    // Before anybody can ask for anything: recovery must not take work of this process for a dead one's.
    await api.startWork()
    server = await listen(api.app, config.HOST, config.PORT)
  } catch (error) {
    await api.drain(0)
    await api.close()
    throw error
  }
  return {
    url: server.url,
    api,
    async stop() {
      const requests = server.stop(config.SHUTDOWN_GRACE_MS + LAST_ANSWERS_MS)
      await api.drain(config.SHUTDOWN_GRACE_MS)
      await requests // their handlers still need the databases
      await api.close()
    },
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

function dataDirOf(config: Config): string {
  return config.DESI_DATA_DIR || join(homedir(), '.desiAgent')
}

/** Runs the server until a signal says to stop. A wrong configuration is one sentence, not a stack. */
async function main(): Promise<void> {
  try {
    const config = readConfig(process.env)
    const server = await startServer(config)
    const { log } = server.api.stores
    log.info(
      { url: server.url, docs: `${server.url}/api/v2/docs`, ...config.models, providers: undefined },
      'listening',
    )
    if (config.models.defaultProvider === 'offline') {
      log.warn({}, 'no model provider is configured: the offline model answers by extraction, without a language model')
    }
    let isStopping = false
    const stop = (signal: NodeJS.Signals) => {
      // npm passes on what the terminal has sent to both: a second signal is no second wish.
      if (isStopping) return
      isStopping = true
      log.info({ signal }, 'stopping')
      server.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'could not stop cleanly')
          process.exit(1)
        },
      )
    }
    process.on('SIGTERM', stop)
    process.on('SIGINT', stop)
  } catch (error) {
    process.stderr.write(`${startError(error)}\n`)
    process.exitCode = 1
  }
}

const UNUSABLE_FOLDER: ReadonlySet<string> = new Set([
  'EACCES',
  'EROFS',
  'EEXIST',
  'ENOTDIR',
  'ENOSPC',
  'SQLITE_CANTOPEN',
])

/** What a person can do something about in one sentence; anything else whole. */
function startError(error: unknown): string {
  if (error instanceof ConfigError || error instanceof DataDirInUse) return error.message
  const { code, message } = error as { code?: string; message?: string }
  if (code === 'EADDRINUSE') return 'PORT is in use by another process.'
  if (code === 'ENOTFOUND' || code === 'EADDRNOTAVAIL') return 'HOST is not an address of this machine.'
  if (code && UNUSABLE_FOLDER.has(code)) return `DESI_DATA_DIR cannot be used: ${message}.`
  return error instanceof Error ? (error.stack ?? error.message) : String(error)
}

if (import.meta.main) await main()
