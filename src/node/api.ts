import { FailedSecrets } from '#features/identity/api-keys/failed-secrets.ts'
import { KeyVerifier } from '#features/identity/api-keys/verify.ts'
import { sharedSigningSecret } from '#kit/db/signing-keys.ts'
import type { FrameOptions } from '#kit/http/frame.ts'
import { AddressLimit, CallLimits } from '#kit/http/rate-limit.ts'
import { StreamTickets } from '#kit/stream-tickets.ts'
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
  /** Takes up what an earlier incarnation left unfinished, and from then on what is queued and what becomes due. */
  startWork(): Promise<void>
  /** Does now what has become due, but waits for no execution; the server does it every second. */
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
  const { queue, experimentQueue, dueWorkQueue, scheduleQueue, running, jobs, ticker, fetch } = engine
  const dueWorkQueues = [dueWorkQueue, scheduleQueue]
  let abortLate: ReturnType<typeof setTimeout> | undefined
  return {
    app: createApp(appParts(stores, engine, stopping.signal)),
    stores,
    async startWork() {
      dueWorkQueue.start(jobs.doDueWork)
      scheduleQueue.start(jobs.fireSchedule)
      await jobs.recover()
      queue.start(jobs.runExecution)
      experimentQueue.start(jobs.runExperiment)
      ticker.start()
    },
    async tick() {
      const doneCount = () => dueWorkQueues.reduce((sum, one) => sum + one.doneCount, 0)
      let before: number
      do {
        before = doneCount()
        await ticker.tick()
        for (const one of dueWorkQueues) await one.settled()
      } while (doneCount() > before) // what was done may have left more that is due
    },
    lastTickAtMs: () => ticker.lastTickAtMs,
    async drain(graceMs) {
      stopping.abort()
      running.drain()
      abortLate = setTimeout(() => running.stopAll(), graceMs)
      const queues = [queue, experimentQueue, ...dueWorkQueues].map((one) => one.stop())
      await Promise.all([...queues, running.plannings(), ticker.stop()])
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
  const tickets = new StreamTickets(() => sharedSigningSecret(control, 'stream_ticket', now()), now)
  return {
    frame: frameOptions(stores, engine, stopping),
    limits: callLimits(config, nowMs),
    addressLimit,
    verifier: keyVerifier(stores, addressLimit, tickets, nowMs),
    tickets,
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
  tickets: StreamTickets,
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
    tickets,
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
