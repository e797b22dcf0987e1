import { homedir } from 'node:os'
import { join } from 'node:path'
import { seedAgents } from '#desiagent/agents.ts'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgent, type EngineSettings, type SharedParts } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import { FailedSecrets } from '#features/identity/api-keys/failed-secrets.ts'
import { KeyVerifier } from '#features/identity/api-keys/verify.ts'
import {
  type Provision,
  provisionIdentity,
  type Rotation,
  rotateBootstrapKey,
} from '#features/identity/tenants/operations.ts'
import type { TenantOperations } from '#kit/context.ts'
import { bcryptHasher, type SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { directoryOf } from '#kit/db/directory.ts'
import { TenantHomes } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { AddressLimit } from '#kit/http/rate-limit.ts'
import { newId } from '#kit/ids.ts'
import { localWake } from '#kit/local-wake.ts'
import type { Clock } from '#kit/time.ts'
import { DataDirInUse, lockDataDir } from '#platform/node/data-dir-lock.ts'
import { diskBlobs } from '#platform/node/disk-blobs.ts'
import { InProcessQueue } from '#platform/node/execution-queue.ts'
import { addressFromSocket, type HttpServer, listen } from '#platform/node/http-server.ts'
import { keyedDigest } from '#platform/node/keyed-digest.ts'
import { guardedFetch } from '#platform/node/outbound-fetch.ts'
import { pinoLog } from '#platform/node/pino-log.ts'
import { sqliteDatabases } from '#platform/node/sqlite/databases.ts'
import { swaggerAssets } from '#platform/node/swagger-assets.ts'
import type { Log } from '#ports/log.ts'
import { createApp } from './app.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { createJobs } from './jobs.ts'

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
  tenants: TenantOperations
  hasher: SecretHasher
  log: Log
  now: Clock
  close(): Promise<void>
}

/** Opens the control database and the way to the tenants': all that commands such as bootstrap need. */
export async function openStores(config: Config, overrides: Overrides = {}): Promise<Stores> {
  const dataDir = dataDirOf(config)
  const databases = sqliteDatabases(dataDir, config.SQLITE_SYNCHRONOUS)
  const control = await databases.openControl()
  const homes = new TenantHomes(databases, config.MAX_OPEN_TENANTS)
  const now = overrides.now ?? (() => new Date())
  return {
    config,
    dataDir,
    control,
    homes,
    tenants: tenantOperations(homes, now),
    hasher: overrides.hasher ?? bcryptHasher(config.API_KEY_BCRYPT_COST),
    log: overrides.log ?? pinoLog(config.LOG_LEVEL),
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
  const { control, homes, log, now, tenants, hasher } = stores
  const nowMs = () => now().getTime()
  const queue = new InProcessQueue(config.MAX_CONCURRENT_EXECUTIONS)
  const running = new RunningExecutions(newId())
  const fetch = guardedFetch({ allow: config.OUTBOUND_ALLOW })
  const shared: SharedParts = {
    models: new Models(config.models),
    blobs: diskBlobs(join(stores.dataDir, 'blobs')),
    queue,
    wake: localWake(),
    fetch,
    running,
    settings: { ...engineSettings(config), ...overrides.engine },
    log,
    now,
    newId,
  }
  const desiOf = desiAgents(control, shared)
  const jobs = createJobs({ control, homes, desiOf, queue, log, now })
  const addressLimit = new AddressLimit(config.RATE_LIMIT_ADDRESS_PER_MINUTE, nowMs)
  const environment = config.API_KEY_ENV
  const stopping = new AbortController()
  const app = createApp({
    frame: {
      log,
      bodyLimitBytes: config.BODY_LIMIT_BYTES,
      corsOrigins: config.CORS_ORIGINS,
      addressOf: addressFromSocket(config.TRUSTED_PROXIES),
    },
    limits: {
      apiPerMinute: config.RATE_LIMIT_API_PER_MINUTE,
      authPerMinute: config.RATE_LIMIT_AUTH_PER_MINUTE,
      executePerMinute: config.RATE_LIMIT_EXECUTE_PER_MINUTE,
      addressPerMinute: config.RATE_LIMIT_ADDRESS_PER_MINUTE,
    },
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
    control,
    tenants,
    withDesi: (ctx) => ({ ...ctx, desi: desiOf(ctx.tenant.id, ctx.db) }),
    wake: shared.wake,
    stopping: stopping.signal,
    assets: swaggerAssets(),
    vitals: {
      startedAtMs: nowMs(),
      now,
      model: shared.models.default,
      dependencies: { controlDatabase: () => control.selectFrom('tenants').select('id').limit(1).execute() },
      scheduler: () => ({ runningExecutions: running.count, queuedExecutions: queue.waitingCount }),
    },
    now,
  })
  return {
    app,
    stores,
    async startWork() {
      const unfinished = await jobs.findUnfinished() // first: what is due later on is this process's own
      queue.start(jobs.runExecution)
      await jobs.recover(unfinished)
    },
    async drain(graceMs) {
      stopping.abort()
      running.drain()
      const abortLate = setTimeout(() => running.stopAll(), graceMs)
      await Promise.all([queue.stop(), running.plannings()])
      clearTimeout(abortLate)
    },
    async close() {
      await fetch.close()
      await stores.close()
      unlock()
    },
  }
}

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
      const requests = server.stop(config.SHUTDOWN_GRACE_MS)
      await api.drain(config.SHUTDOWN_GRACE_MS)
      await requests // their handlers still need the databases
      await api.close()
    },
  }
}

function tenantOperations(homes: TenantHomes, now: Clock): TenantOperations {
  const operations: Record<string, (db: TenantDb, input: never) => Promise<unknown>> = {
    async provision(db, input: Provision) {
      await provisionIdentity(db, input)
      await seedAgents(db, newId, now())
    },
    rotateBootstrapKey: (db, input: Rotation) => rotateBootstrapKey(db, input),
  }
  return {
    create: (tenantId) => homes.create(tenantId),
    remove: (tenantId) => homes.remove(tenantId),
    async run(tenantId, name, input) {
      const operation = operations[name]
      if (!operation) throw new Error(`no tenant operation ${name}`)
      return homes.use(tenantId, (db) => operation(db, input as never))
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
    const stop = () => {
      log.info({}, 'stopping')
      server.stop().then(
        () => process.exit(0),
        (error: unknown) => {
          log.error({ err: error }, 'could not stop cleanly')
          process.exit(1)
        },
      )
    }
    process.once('SIGTERM', stop)
    process.once('SIGINT', stop)
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
