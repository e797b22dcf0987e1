import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createSuperAdminKey } from '#features/identity/admin-keys/service.ts'
import { readConfig } from '#src/config.ts'
import { type Api, openApi } from '#src/node/api.ts'
import type { Overrides } from '#src/node/stores.ts'
import { Client } from './client.ts'

export interface StartOptions {
  /** Environment variables beside the tests' own. */
  env?: Record<string, string>
  overrides?: Overrides
  /** Starts on the data folder of an earlier one. */
  dataDir?: string
}

/** Limits no test meets by accident, cheap hashes, no output; the model is the offline one unless a test says otherwise. */
const TEST_ENV = {
  NODE_ENV: 'test',
  LOG_LEVEL: 'silent',
  API_KEY_BCRYPT_COST: '4',
  RATE_LIMIT_ADDRESS_PER_MINUTE: '100000',
  RATE_LIMIT_API_PER_MINUTE: '100000',
  RATE_LIMIT_AUTH_PER_MINUTE: '100000',
  RATE_LIMIT_EXECUTE_PER_MINUTE: '100000',
  RETRY_BASE_MS: '5',
}

export interface NewTenantAnswer {
  tenant: { id: string; slug: string }
  user: { id: string; email: string }
  apiKey: string
}

/** The real application over real SQLite files in a folder of its own. */
export class TestApi {
  readonly dataDir: string
  readonly api: Api
  readonly superAdmin: Client
  #isClosed = false

  constructor(dataDir: string, api: Api, superAdminKey: string) {
    this.dataDir = dataDir
    this.api = api
    this.superAdmin = new Client(api.app, superAdminKey)
  }

  /** A caller with this key, or with none. */
  client(key: string | null, address?: string): Client {
    return new Client(this.api.app, key, address)
  }

  /**
   * A new tenant; the client calls with its first admin's key, which has all scopes. Without quotas, unless a test asks
   * for a plan.
   */
  async tenant(slug: string, more: object = {}): Promise<Client & { tenantId: string; userId: string }> {
    const { status, body } = await this.superAdmin.post<NewTenantAnswer>('/admin/tenants', {
      slug,
      plan: 'enterprise',
      admin: { email: `admin@${slug}.test` },
      ...more,
    })
    if (status !== 201) throw new Error(`tenant ${slug}: ${JSON.stringify(body)}`)
    return Object.assign(this.client(body.apiKey), { tenantId: body.tenant.id, userId: body.user.id })
  }

  async close(): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    await this.api.drain(0)
    await this.api.close()
  }
}

/** Starts the application; it is closed and its folder removed when the test ends. */
export async function startApi(options: StartOptions = {}): Promise<TestApi> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'desi-test-'))
  const config = readConfig({ ...TEST_ENV, DESI_DATA_DIR: dataDir, ...options.env })
  const api = await openApi(config, options.overrides)
  const { control, hasher, now } = api.stores
  const key = await createSuperAdminKey(control, hasher, true, now())
  await api.startWork()
  const started = new TestApi(dataDir, api, key ?? '')
  onTestFinished(async () => {
    await started.close()
    if (!options.dataDir) rmSync(dataDir, { recursive: true, force: true })
  })
  return started
}
