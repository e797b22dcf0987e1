import { readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { generateApiKey, type KeyEnvironment, parseApiKey } from '#kit/crypto/api-key.ts'
import type { Answer, Client } from '#test/support/client.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

type Tenant = Client & { tenantId: string }

const purge = (api: TestApi, { tenantId }: Tenant, slug = 'acme') =>
  api.superAdmin.delete(`/admin/tenants/${tenantId}?purge=true`, { 'x-confirm-purge': slug })

const filesOf = (api: TestApi, { tenantId }: Tenant) =>
  readdirSync(api.dataDir, { recursive: true, encoding: 'utf8' }).filter((path) => path.includes(tenantId))

/** Every row of control in which the tenant's id, its slug or the public part of its key stands. */
async function tracesOf(api: TestApi, { tenantId, key }: Tenant, slug: string): Promise<string[]> {
  const { control } = api.api.stores
  const tables = ['tenants', 'key_index', 'due_work', 'idempotency_keys', 'search_words'] as const
  const found: string[] = []
  for (const table of tables) {
    for (const row of await control.selectFrom(table).selectAll().execute()) {
      const text = JSON.stringify(row)
      const keyId = key?.slice(13, 25) as string
      if ([tenantId, `"${slug}"`, keyId].some((trace) => text.includes(trace))) found.push(table)
    }
  }
  return [...new Set(found)].toSorted()
}

const withoutRequestId = ({ status, body }: Answer) => ({ status, body: { ...body, requestId: null } })

describe('a purge', () => {
  test.each([
    ['without a confirmation', undefined],
    ['confirmed with another slug', 'globex'],
    ['confirmed with a part of the slug', 'acm'],
    ['confirmed with the id', 'id'],
  ])('%s changes nothing', async (_, confirmation) => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const path = `/admin/tenants/${acme.tenantId}`
    const { body: before } = await api.superAdmin.get(path)
    const header = confirmation === 'id' ? acme.tenantId : confirmation
    const { status, body } = await api.superAdmin.delete(
      `${path}?purge=true`,
      header === undefined ? {} : { 'x-confirm-purge': header },
    )
    expect([status, body.code]).toEqual([422, 'purge_not_confirmed'])
    const { body: after } = await api.superAdmin.get(path)
    expect({ ...after, figures: null }).toEqual({ ...before, figures: null })
    expect((await acme.get('/auth/me')).status).toBe(200)
  })

  test('leaves no file, no row in control and no word, and answers with a receipt', async () => {
    const api = await startApi()
    const { body: created } = await api.superAdmin.post(
      '/admin/tenants',
      { slug: 'acme', plan: 'enterprise', admin: { email: 'eve@acme.test' } },
      { 'idempotency-key': 'k' },
    )
    const acme = Object.assign(api.client(created.apiKey), { tenantId: created.tenant.id as string })
    await acme.run('Summarise notes.md and write the result to out.md', {
      inputs: [{ name: 'notes.md', content: '# Notes\n\nWe ship on Friday.\n' }],
    })
    await acme.post('/auth/api-keys', { name: 'second', scopes: ['read'] })
    await acme.post('/users/invite', { email: 'ada@acme.test', name: 'Ada', role: 'viewer' })
    const globex = await api.tenant('globex')
    expect(filesOf(api, acme).some((path) => path.startsWith('blobs/'))).toBe(true)
    expect(await tracesOf(api, acme, 'acme')).toEqual([
      'due_work',
      'idempotency_keys',
      'key_index',
      'search_words',
      'tenants',
    ])

    const { status, body } = await purge(api, acme)

    expect(status).toBe(200)
    expect(body).toMatchObject({ purged: true, tenantId: acme.tenantId, slug: 'acme', deleted: { credentials: 3 } })
    expect(body.deleted.databaseBytes).toBeGreaterThan(4_096)
    expect(filesOf(api, acme)).toEqual([])
    expect(await tracesOf(api, acme, 'acme')).toEqual([])
    // One tenant's purge does not reach another tenant's data.
    expect((await globex.get('/auth/me')).status).toBe(200)
    expect(await tracesOf(api, globex, 'globex')).toEqual(['due_work', 'key_index', 'search_words', 'tenants'])
  })

  test('makes its keys look like keys that never were, and its id like one that never was', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { body: other } = await acme.post('/auth/api-keys', { name: 'never used', scopes: ['read'] })
    await acme.get('/auth/me')

    await purge(api, acme)

    const { environment } = parseApiKey(acme.key as string) as { environment: KeyEnvironment }
    const unknown = withoutRequestId(await api.client(generateApiKey(environment).key).get('/auth/me'))
    expect(unknown).toMatchObject({ status: 401, body: { code: 'invalid_api_key' } })
    for (const key of [acme.key, other.key]) {
      expect(withoutRequestId(await api.client(key).get('/auth/me'))).toEqual(unknown)
      expect(withoutRequestId(await api.client(key).get('/admin/tenants'))).toEqual(unknown)
    }
    const never = withoutRequestId(await api.superAdmin.get(`/admin/tenants/${crypto.randomUUID()}`))
    expect(never.status).toBe(404)
    expect(withoutRequestId(await api.superAdmin.get(`/admin/tenants/${acme.tenantId}`))).toEqual(never)
    expect(withoutRequestId(await purge(api, acme))).toEqual(never)
    expect((await api.superAdmin.get('/admin/tenants?includeTotal=true')).body.pagination.total).toBe(0)
  })

  test('gives its slug free: who takes it starts from nothing', async () => {
    const api = await startApi()
    const first = await api.tenant('acme')
    await first.post('/agents', { name: 'writer', version: '1', systemPrompt: 'Write.' })
    await purge(api, first)
    const second = await api.tenant('acme')
    expect(second.tenantId).not.toBe(first.tenantId)
    expect((await second.get('/agents?name=writer')).body.data).toEqual([])
    expect((await first.get('/auth/me')).status).toBe(401)
  })

  test('of a suspended tenant works as well', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
    expect((await purge(api, acme)).status).toBe(200)
    expect(filesOf(api, acme)).toEqual([])
  })

  test('while requests, streams and executions are under way ends all of them and leaves nothing', async () => {
    const model = await openAiServer(({ messages }) => (messages[0] === 'slow' ? 'hang!' : { text: 'ok', delayMs: 5 }))
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme')
    const slow = { definition: planOf([{ id: '1', prompt: 'slow' }]) }
    const { body: hanging } = await acme.post('/dags/execute-definition', slow)
    await expect.poll(() => model.calls.length).toBe(1)
    const streams = [acme.events(hanging.id), acme.events(hanging.id)]
    let isOver = false
    const keepAsking = async (n: number) => {
      const statuses = new Set<number>()
      for (let i = 0; !isOver; i += 1) {
        const quick = { definition: planOf([{ id: '1', prompt: `quick ${i}` }]) }
        const { status } = await (n % 2 === 0
          ? acme.post('/dags/execute-definition', quick)
          : acme.post('/agents', { name: `a-${n}-${i}`, version: '1', systemPrompt: 'x' }))
        statuses.add(status)
        await new Promise((resolve) => setTimeout(resolve, 1))
      }
      return statuses
    }
    const askers = Array.from({ length: 6 }, (_, n) => keepAsking(n))
    await expect.poll(() => model.calls.length).toBeGreaterThan(5)

    const { status } = await purge(api, acme)

    expect(status).toBe(200)
    for (const stream of streams) expect((await stream).at(-1)?.event).toBe('execution:suspended')
    isOver = true
    const statuses = new Set((await Promise.all(askers)).flatMap((seen) => [...seen]))
    expect([...statuses].filter((seen) => ![201, 202, 401, 403].includes(seen))).toEqual([])
    expect(filesOf(api, acme)).toEqual([])
    expect(await tracesOf(api, acme, 'acme')).toEqual([])
    expect((await acme.get('/auth/me')).status).toBe(401)
  })

  test('by two at once is done once', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const answers = await Promise.all([purge(api, acme), purge(api, acme)])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 404])
    expect(await tracesOf(api, acme, 'acme')).toEqual([])
  })
})

describe('a purge that stopped half-way', () => {
  /** Up to and with the deletion of the database; the process died before the files. */
  async function half(): Promise<{ api: TestApi; acme: Tenant }> {
    const api = await startApi()
    const acme = await api.tenant('acme')
    await acme.run('Summarise notes.md and write the result to out.md', {
      inputs: [{ name: 'notes.md', content: '# Notes\n\nWe ship on Friday.\n' }],
    })
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
    await api.api.stores.homes.remove(acme.tenantId)
    return { api, acme }
  }

  test('is finished by repeating it', async () => {
    const { api, acme } = await half()
    expect(filesOf(api, acme).length).toBeGreaterThan(0)
    const { status, body } = await purge(api, acme)
    expect([status, body.deleted]).toEqual([200, { databaseBytes: 0, credentials: 1 }])
    expect(filesOf(api, acme)).toEqual([])
    expect(await tracesOf(api, acme, 'acme')).toEqual([])
  })

  test('is finished after a restart', async () => {
    const { api, acme } = await half()
    await api.close()
    const again = await startApi({ dataDir: api.dataDir })
    const { body: list } = await again.superAdmin.get('/admin/tenants?status=suspended')
    expect(list.data).toMatchObject([{ id: acme.tenantId, slug: 'acme' }])
    expect((await purge(again, acme)).status).toBe(200)
    expect(await tracesOf(again, acme, 'acme')).toEqual([])
  })

  test('shows that nothing is left, lets no key in, and cannot be taken back', async () => {
    const { api, acme } = await half()
    const path = `/admin/tenants/${acme.tenantId}`
    expect((await api.superAdmin.get(path)).body).toMatchObject({
      status: 'suspended',
      figures: { users: 0, agents: 0, databaseSizeBytes: 0 },
      migration: { current: null, isUpToDate: false },
    })
    expect((await acme.get('/auth/me')).status).toBe(401)
    for (const answer of [
      await api.superAdmin.post(`${path}/resume`),
      await api.superAdmin.patch(path, { status: 'active' }),
    ]) {
      expect([answer.status, answer.body.code]).toEqual([404, 'tenant_not_found'])
    }
    expect((await api.superAdmin.get(path)).body.status).toBe('suspended')
  })

  test('answers a repeat of its creation as if there were no such tenant', async () => {
    const api = await startApi()
    const create = () =>
      api.superAdmin.post(
        '/admin/tenants',
        { slug: 'acme', admin: { email: 'eve@acme.test' } },
        { 'idempotency-key': 'k' },
      )
    const { body } = await create()
    await api.api.stores.homes.remove(body.tenant.id)
    const again = await create()
    expect([again.status, again.body.code]).toEqual([404, 'tenant_not_found'])
  })

  test('still needs its confirmation', async () => {
    const { api, acme } = await half()
    expect((await purge(api, acme, 'globex')).status).toBe(422)
    expect(filesOf(api, acme).length).toBeGreaterThan(0)
  })
})
