import { FailedSecrets } from '#features/identity/api-keys/failed-secrets.ts'
import { KeyVerifier } from '#features/identity/api-keys/verify.ts'
import type { FrameOptions } from '#kit/http/frame.ts'
import { AddressLimit, CallLimits } from '#kit/http/rate-limit.ts'
import { lockDataDir } from '#platform/node/data-dir-lock.ts'
import { freeDiskBytes } from '#platform/node/free-disk.ts'
import { addressFromSocket } from '#platform/node/http-server.ts'
import { keyedDigest } from '#platform/node/keyed-digest.ts'
import { smtpMail } from '#platform/node/smtp-mail.ts'
import { swaggerAssets } from '#platform/node/swagger-assets.ts'
import { type AppParts, createApp } from '../app.ts'
import type { Config } from '../config.ts'
import { dependenciesOf } from '../dependencies.ts'
import { createEngine, type Engine } from './engine.ts'
import { dataDirOf, type Overrides, openStores, type Stores } from './stores.ts'

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
  const stopping = new AbortController()
  const engine = createEngine(stores, overrides, stopping.signal)
  const { queue, experimentQueue, running, jobs, ticker, fetch } = engine
  let abortLate: ReturnType<typeof setTimeout> | undefined
  return {
    app: createApp(appParts(stores, engine, stopping.signal)),
    stores,
    async startWork() {
      const unfinished = await jobs.findUnfinished() // first: what is due later on is this process's own
      queue.start(jobs.runExecution)
      experimentQueue.start(jobs.runExperiment)
      await jobs.recover(unfinished)
      ticker.start()
    },
    tick: () => ticker.tick(),
    lastTickAtMs: () => ticker.lastTickAtMs,
    async drain(graceMs) {
      stopping.abort()
      running.drain()
      abortLate = setTimeout(() => running.stopAll(), graceMs)
      await Promise.all([queue.stop(), experimentQueue.stop(), running.plannings(), ticker.stop()])
    },
    async close() {
      clearTimeout(abortLate)
      await fetch.close()
      await stores.close()
      unlock()
    },
  }
}

function appParts(stores: Stores, engine: Engine, stopping: AbortSignal): AppParts {
  const { config, control, hasher, log, now } = stores
  const { tenants, desiOf, streams, metrics } = engine
  const nowMs = () => now().getTime()
  const addressLimit = new AddressLimit(config.RATE_LIMIT_ADDRESS_PER_MINUTE, nowMs)
  return {
    frame: frameOptions(stores, engine, stopping),
    limits: callLimits(config, nowMs),
    addressLimit,
    verifier: keyVerifier(stores, addressLimit, nowMs),
    keyMaking: { hasher, environment: config.API_KEY_ENV },
    invitationPost: { mail: config.mail && smtpMail(config.mail, log), linkTemplate: config.INVITE_URL ?? null },
    control,
    tenants,
    withDesi: (ctx) => ({ ...ctx, desi: desiOf(ctx.tenant.id, ctx.db) }),
    streams,
    assets: swaggerAssets(),
    vitals: vitals(stores, engine, nowMs),
    exposition: metrics.exposition,
    now,
  }
}

function frameOptions({ config, log }: Stores, { metrics }: Engine, stopping: AbortSignal): FrameOptions {
  return {
    log,
    metrics,
    bodyLimitBytes: config.BODY_LIMIT_BYTES,
    corsOrigins: config.CORS_ORIGINS,
    addressOf: addressFromSocket(config.TRUSTED_PROXIES),
    stopping,
  }
}

function callLimits(config: Config, nowMs: () => number): CallLimits {
  const perMinute = {
    apiPerMinute: config.RATE_LIMIT_API_PER_MINUTE,
    authPerMinute: config.RATE_LIMIT_AUTH_PER_MINUTE,
    executePerMinute: config.RATE_LIMIT_EXECUTE_PER_MINUTE,
  }
  return new CallLimits(perMinute, nowMs)
}

function keyVerifier(
  { config, control, homes, hasher }: Stores,
  addressLimit: AddressLimit,
  nowMs: () => number,
): KeyVerifier {
  const failedSecrets = new FailedSecrets(nowMs)
  const environment = config.API_KEY_ENV
  return new KeyVerifier({
    control,
    homes,
    hasher,
    digest: keyedDigest(),
    environment,
    failedSecrets,
    addressLimit,
    nowMs,
  })
}

function vitals(
  { config, control, homes, dataDir, log, now }: Stores,
  { models, ticker, running, queue }: Engine,
  nowMs: () => number,
): AppParts['vitals'] {
  const startedAtMs = nowMs()
  const dependencies = dependenciesOf({
    control,
    homes,
    models: config.models,
    freeDiskBytes: () => freeDiskBytes(dataDir),
    minFreeDiskBytes: config.MIN_FREE_DISK_BYTES,
    lastTickAtMs: () => ticker.lastTickAtMs,
    startedAtMs,
    nowMs,
  })
  const scheduler = () => ({ runningExecutions: running.count, queuedExecutions: queue.waitingCount })
  return { startedAtMs, now, model: models.default, dependencies, scheduler, log }
}
