import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, onTestFinished, test } from 'vitest'
import { DEFAULT_MODEL } from '#desiagent/models/providers.ts'
import { collectLog, type LogLine } from '#test/features/http/collect-log.ts'
import { HeldClock } from '#test/features/http/held-clock.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const ALL_THE_DISKS = '1000000000000000'
const WORKS = { controlDatabase: 'ok', tenantDatabase: 'ok', disk: 'ok', modelProvider: 'ok', scheduler: 'ok' }

async function readiness(api: TestApi) {
  const { status, body } = await api.client(null).get('/health/ready')
  return { http: status, status: body.status, dependencies: body.dependencies, body }
}

const aboutDependencies = (lines: LogLine[]) => lines.filter(({ fields }) => 'dependency' in fields)

interface Asked {
  path: string
  headers: IncomingHttpHeaders
}

/** A provider's list of models, for whoever asks; `hang` never answers. */
async function modelList(answer: () => number | 'hang') {
  const asked: Asked[] = []
  const server = createServer(({ url = '', headers }, response) => {
    asked.push({ path: url, headers })
    const status = answer()
    if (status === 'hang') return
    response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end('{"data":[]}')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { asked, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

function ownFolder(): string {
  const dataDir = mkdtempSync(join(tmpdir(), 'desi-ready-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  return dataDir
}

test('ready: everything is asked, and works, before there is a tenant and after', async () => {
  const api = await startApi()
  expect(await readiness(api)).toMatchObject({ http: 200, status: 'ready', dependencies: WORKS })
  await api.tenant('acme')

  const { http, status, body } = await readiness(api)

  expect([http, status]).toEqual([200, 'ready'])
  expect(body).toEqual({
    status: 'ready',
    version: expect.stringMatching(/^\d+\.\d+\.\d+/),
    uptime: expect.any(Number),
    timestamp: expect.stringMatching(/Z$/),
    dependencies: WORKS,
    provider: 'offline',
    model: 'offline-1',
    scheduler: { runningExecutions: 0, queuedExecutions: 0 },
  })
})

test('without the control database nothing can be served', async () => {
  const api = await startApi()
  await api.api.stores.control.destroy()

  const { http, status, dependencies } = await readiness(api)

  expect([http, status]).toEqual([503, 'not_ready'])
  expect(dependencies.controlDatabase).toBe('failed')
  expect((await api.client(null).raw('/health')).status).toBe(200)
})

test.each([
  ['is gone', (file: string) => rmSync(file)],
  ['is no database', (file: string) => writeFileSync(file, 'this was a database once, and somebody wrote over it')],
])('not ready when the newest tenant’s file %s; ready again when it is back', async (_how, spoil) => {
  const dataDir = ownFolder()
  const before = await startApi({ dataDir })
  const acme = await before.tenant('acme')
  await before.close()
  const folder = join(dataDir, 'tenants', acme.tenantId)
  spoil(join(folder, 'agent.db'))
  for (const rest of ['-wal', '-shm']) rmSync(join(folder, `agent.db${rest}`), { force: true })
  const { log, lines } = collectLog()
  const api = await startApi({ dataDir, overrides: { log } })

  const answers = [await readiness(api), await readiness(api), await readiness(api)]

  for (const answer of answers) {
    expect(answer).toMatchObject({
      http: 503,
      status: 'not_ready',
      dependencies: { ...WORKS, tenantDatabase: 'failed' },
    })
    expect(JSON.stringify(answer)).not.toContain(acme.tenantId)
    expect(JSON.stringify(answer)).not.toContain(dataDir)
  }
  expect(aboutDependencies(lines)).toEqual([
    { level: 'warn', message: 'a dependency fails', fields: { dependency: 'tenantDatabase', err: expect.any(Error) } },
  ])

  await api.api.stores.homes.create(acme.tenantId)
  expect(await readiness(api)).toMatchObject({ http: 200, status: 'ready' })
  expect(aboutDependencies(lines).slice(1)).toEqual([
    { level: 'info', message: 'a dependency works again', fields: { dependency: 'tenantDatabase' } },
  ])
})

test('a suspended tenant’s broken database takes nobody down', async () => {
  const dataDir = ownFolder()
  const before = await startApi({ dataDir })
  await before.tenant('acme')
  const broken = await before.tenant('broken')
  const { status } = await before.superAdmin.patch(`/admin/tenants/${broken.tenantId}`, { status: 'suspended' })
  expect(status).toBe(200)
  await before.close()
  rmSync(join(dataDir, 'tenants', broken.tenantId), { recursive: true })
  const api = await startApi({ dataDir })

  expect(await readiness(api)).toMatchObject({ http: 200, status: 'ready' })
})

test('not ready when the disk has less room than wanted', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({ env: { MIN_FREE_DISK_BYTES: ALL_THE_DISKS }, overrides: { log } })

  expect(await readiness(api)).toMatchObject({
    http: 503,
    status: 'not_ready',
    dependencies: { ...WORKS, disk: 'failed' },
  })
  expect(aboutDependencies(lines)[0]?.fields.err.message).toMatch(/^\d+ bytes are free, 1000000000000000 are wanted$/)
})

test.each([
  ['openai', 'OPENAI', '/v1', '/v1/models', { authorization: 'Bearer the-key' }],
  ['openrouter', 'OPENROUTER', '/api/v1/', '/api/v1/models', { authorization: 'Bearer the-key' }],
  ['anthropic', 'ANTHROPIC', '/v1', '/v1/models', { 'x-api-key': 'the-key', 'anthropic-version': '2023-06-01' }],
  ['google', 'GOOGLE', '/v1beta', '/v1beta/models?pageSize=1', { 'x-goog-api-key': 'the-key' }],
  ['ollama', 'OLLAMA', '/v1', '/v1/models', {}],
] as const)('%s is asked for its models with its own key', async (provider, prefix, base, path, headers) => {
  const models = await modelList(() => 200)
  const key: Record<string, string> = provider === 'ollama' ? {} : { [`${prefix}_API_KEY`]: 'the-key' }
  const env = { ...key, [`${prefix}_BASE_URL`]: `${models.origin}${base}`, LLM_PROVIDER: provider }
  const api = await startApi({ env })

  const { status, dependencies, body } = await readiness(api)

  expect({ status, dependencies }).toEqual({ status: 'ready', dependencies: WORKS })
  expect(body).toMatchObject({ provider, model: DEFAULT_MODEL[provider] })
  expect(models.asked).toHaveLength(1)
  expect(models.asked[0]?.path).toBe(path)
  expect(models.asked[0]?.headers).toMatchObject(headers)
  if (provider === 'ollama') expect(models.asked[0]?.headers).not.toHaveProperty('authorization')
})

test.each([401, 500, 302, 'hang'] as const)(
  'a provider that answers %s leaves the rest to be served: degraded',
  async (how) => {
    const models = await modelList(() => how)
    const { log, lines } = collectLog()
    const env = { OPENAI_API_KEY: 'sk-very-secret', OPENAI_BASE_URL: `${models.origin}/v1` }
    const api = await startApi({ env, overrides: { log } })

    const answers = await Promise.all([readiness(api), readiness(api), readiness(api)])

    for (const answer of answers) {
      expect(answer).toMatchObject({
        http: 200,
        status: 'degraded',
        dependencies: { ...WORKS, modelProvider: 'failed' },
      })
    }
    expect(models.asked).toHaveLength(1)
    expect(aboutDependencies(lines)).toHaveLength(1)
    expect(lines.map(({ fields }) => fields.err?.message ?? '').join()).not.toContain('sk-very-secret')
  },
)

test('a provider nobody can reach is told without its address or password', async () => {
  const { log, lines } = collectLog()
  const secrets = { OPENAI_API_KEY: 'sk-very\nsecret', OPENAI_BASE_URL: 'http://user:its-password@127.0.0.1:1/v1' }
  const api = await startApi({ env: secrets, overrides: { log } })

  expect(await readiness(api)).toMatchObject({ http: 200, status: 'degraded' })

  const [{ fields }] = aboutDependencies(lines) as [LogLine]
  expect(fields.err.message).toMatch(/^the provider could not be reached: \w+$/)
  for (const secret of ['its-password', 'sk-very'])
    expect(`${fields.err.stack}${fields.err.cause}`).not.toContain(secret)
})

test('however many ask, the provider is asked once a minute', async () => {
  const clock = new HeldClock()
  let answer = 200
  const models = await modelList(() => answer)
  const api = await startApi({
    env: { OPENAI_API_KEY: 'sk', OPENAI_BASE_URL: `${models.origin}/v1` },
    overrides: { now: clock.now },
  })
  const ask = async () =>
    new Set((await Promise.all(Array.from({ length: 50 }, () => readiness(api)))).map((r) => r.status))

  expect(await ask()).toEqual(new Set(['ready']))
  expect(models.asked).toHaveLength(1)
  answer = 401
  clock.pass(59_999)
  expect(await ask()).toEqual(new Set(['ready']))
  clock.pass(1)
  expect(await ask()).toEqual(new Set(['degraded']))
  expect(models.asked).toHaveLength(2)
  answer = 200
  clock.pass(60_000)
  expect(await ask()).toEqual(new Set(['ready']))
  expect(models.asked).toHaveLength(3)
})

test('without anybody looking for due work for three minutes the rest is served: degraded', async () => {
  const clock = new HeldClock()
  const { log, lines } = collectLog()
  const api = await startApi({ overrides: { now: clock.now, log } })
  const rename = (from: string, to: string) =>
    sql`alter table ${sql.table(from)} rename to ${sql.table(to)}`.execute(api.api.stores.control)
  await rename('due_work', 'out_of_order')

  clock.pass(180_000)
  expect(await readiness(api)).toMatchObject({ http: 200, status: 'ready' })
  clock.pass(1)
  expect(await readiness(api)).toMatchObject({
    http: 200,
    status: 'degraded',
    dependencies: { ...WORKS, scheduler: 'failed' },
  })
  await rename('out_of_order', 'due_work')
  await api.api.tick()
  expect(await readiness(api)).toMatchObject({ http: 200, status: 'ready' })
  await rename('due_work', 'out_of_order')
  clock.pass(180_001)
  expect(await readiness(api)).toMatchObject({ status: 'degraded' })
  expect(aboutDependencies(lines).map(({ message }) => message)).toEqual([
    'a dependency fails',
    'a dependency works again',
    'a dependency fails',
  ])
})

test('what cannot be served outweighs what can', async () => {
  const models = await modelList(() => 500)
  const api = await startApi({
    env: {
      OPENAI_API_KEY: 'sk',
      OPENAI_BASE_URL: `${models.origin}/v1`,
      MIN_FREE_DISK_BYTES: ALL_THE_DISKS,
    },
  })

  expect(await readiness(api)).toMatchObject({
    http: 503,
    status: 'not_ready',
    dependencies: { ...WORKS, disk: 'failed', modelProvider: 'failed' },
  })
})

test('nobody needs a key to ask, here and at the root', async () => {
  const api = await startApi()
  for (const path of ['/health/ready', '/api/v2/health/ready', '/health', '/api/v2/health']) {
    const response = await api.client(null).raw(path)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ version: expect.any(String), uptime: expect.any(Number) })
  }
})
