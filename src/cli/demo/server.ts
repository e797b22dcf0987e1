import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { controlContext } from '#features/identity/enter.ts'
import { createTenant } from '#features/identity/tenants/service.ts'
import { readConfig } from '../../config.ts'
import { type RunningServer, startServer } from '../../node.ts'

export interface DemoServer {
  url: string
  dataDir: string
  /** Of the demo's tenant, with all scopes. */
  apiKey: string
  stop(): Promise<void>
}

/**
 * Starts the API in this process, on a free port of this machine only, over a folder of its own with one tenant.
 *
 * @param isKept  the folder stays when the server stops
 * @throws ConfigError when the environment is wrong
 */
export async function startDemoServer(isKept: boolean): Promise<DemoServer> {
  const dataDir = await mkdtemp(join(tmpdir(), 'desi-demo-'))
  const removeData = () => rm(dataDir, { recursive: true, force: true })
  let server: RunningServer | undefined
  try {
    server = await startServer(demoConfig(dataDir))
    const apiKey = await createDemoTenant(server)
    const { url, stop } = server
    return {
      url,
      dataDir,
      apiKey,
      async stop() {
        await stop()
        if (!isKept) await removeData()
      },
    }
  } catch (error) {
    await server?.stop()
    await removeData()
    throw error
  }
}

function demoConfig(dataDir: string) {
  return readConfig({
    ...process.env,
    HOST: '127.0.0.1',
    PORT: '0',
    DESI_DATA_DIR: dataDir,
    LOG_LEVEL: process.env.LOG_LEVEL || 'silent',
    SHUTDOWN_GRACE_MS: '1000',
  })
}

async function createDemoTenant({ api }: RunningServer): Promise<string> {
  const { config, control, hasher, now, tenants } = api.stores
  const ctx = controlContext('demo', control, tenants, now)
  const { apiKey } = await createTenant(
    ctx,
    { hasher, environment: config.API_KEY_ENV },
    { slug: 'demo', name: 'Demo', plan: 'enterprise', admin: { email: 'admin@demo.test' } },
  )
  return apiKey as string // there is one, because an admin was asked for
}
