import { DataDirInUse } from '#platform/node/data-dir-lock.ts'
import { type HttpServer, listen } from '#platform/node/http-server.ts'
import { type Config, ConfigError, readConfig } from './config.ts'
import { type Api, openApi } from './node/api.ts'
import type { Overrides } from './node/stores.ts'

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
