import { existsSync, readdirSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { controlContext } from '#features/identity/enter.ts'
import { createTenant } from '#features/identity/tenants/service.ts'
import type { ControlContext } from '#kit/context.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

const newTenant = (slug: string) => ({ slug, admin: { email: `admin@${slug}.test` } })

test('the super admin makes a tenant, its admin and the admin’s key', async () => {
  const api = await startApi()
  const { status, body } = await api.superAdmin.post('/admin/tenants', {
    slug: 'acme',
    name: 'Acme & Sons',
    plan: 'pro',
    admin: { email: 'eve@acme.test', name: 'Eve' },
  })
  expect(status).toBe(201)
  expect(body.tenant).toMatchObject({ slug: 'acme', name: 'Acme & Sons', plan: 'pro', status: 'active' })
  const me = await api.client(body.apiKey).get('/auth/me')
  expect(me.body).toMatchObject({
    id: body.user.id,
    email: 'eve@acme.test',
    name: 'Eve',
    role: 'admin',
    tenant: { id: body.tenant.id, plan: 'pro' },
  })
})

test('a new tenant has the agents that planning needs', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { body } = await acme.get('/agents?status=active')
  expect(body.data.map(({ name }: { name: string }) => name).toSorted()).toEqual([
    'inference',
    'planner',
    'synthesizer',
    'titler',
  ])
})

test('a slug is taken once', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { status, body } = await api.superAdmin.post('/admin/tenants', newTenant('acme'))
  expect([status, body.code, body.details]).toEqual([409, 'tenant_slug_taken', { slug: 'acme' }])
  expect((await acme.get('/auth/me')).status).toBe(200)
})

test('of ten that want one slug at once exactly one gets it', async () => {
  const api = await startApi()
  const answers = await Promise.all(
    Array.from({ length: 10 }, () => api.superAdmin.post('/admin/tenants', newTenant('acme'))),
  )
  const won = answers.filter(({ status }) => status === 201)
  expect(won.length).toBe(1)
  expect(answers.filter(({ status }) => status === 409).length).toBe(9)
  expect((await api.client(won[0]?.body.apiKey).get('/auth/me')).body.tenant.id).toBe(won[0]?.body.tenant.id)
  const { body } = await api.superAdmin.get('/admin/tenants?includeTotal=true')
  expect(body.pagination.total).toBe(1)
})

test('a creation that died gives its slug free after half a minute, to one of those who want it', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const at = clock.now().toISOString()
  const dead = { id: crypto.randomUUID(), name: 'acme', slug: 'acme', plan: 'free', quotas: '{}', status: 'pending' }
  await api.api.stores.control
    .insertInto('tenants')
    .values({ ...dead, created_at: at, updated_at: at })
    .execute()

  clock.pass(30_000)
  expect((await api.superAdmin.post('/admin/tenants', newTenant('acme'))).status).toBe(409)
  clock.pass(1)
  const answers = await Promise.all(
    Array.from({ length: 5 }, () => api.superAdmin.post('/admin/tenants', newTenant('acme'))),
  )

  expect(answers.map(({ status }) => status).toSorted()).toEqual([201, 409, 409, 409, 409])
  const [won] = answers.filter(({ status }) => status === 201)
  expect((await api.client(won?.body.apiKey).get('/auth/me')).status).toBe(200)
})

describe('a creation that fails', () => {
  const wanted = { slug: 'acme', plan: 'free', admin: { email: 'eve@acme.test' } } as const

  /** Creates the tenant with these parts in the place of the real ones. */
  async function create(api: TestApi, wrong: (ctx: ControlContext) => Partial<ControlContext>) {
    const { control, tenants, hasher, now } = api.api.stores
    const ctx = controlContext('failing', control, tenants, now)
    return createTenant({ ...ctx, ...wrong(ctx) }, { hasher, environment: 'test' }, wanted)
  }

  const fail = () => Promise.reject(new Error('the disk is full'))
  const CASES: [string, (ctx: ControlContext) => Partial<ControlContext>][] = [
    ['without a database', ({ tenants }) => ({ tenants: { ...tenants, create: fail } })],
    ['with an empty database', ({ tenants }) => ({ tenants: { ...tenants, run: fail } })],
    ['at its last step', () => ({ commitWith: fail })],
  ]

  async function leftOf(api: TestApi) {
    const { control } = api.api.stores
    const tables = ['tenants', 'key_index', 'due_work', 'search_words'] as const
    const rows = await Promise.all(tables.map((table) => control.selectFrom(table).selectAll().execute()))
    const folder = `${api.dataDir}/tenants`
    return [...rows.flat(), ...(existsSync(folder) ? readdirSync(folder) : [])]
  }

  test('so slowly that its slug was given away in the meantime makes no tenant without a database', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
    const slow = create(api, ({ tenants }) => ({
      tenants: { ...tenants, run: (...args) => tenants.run(...args).finally(() => held) },
    }))
    const { control } = api.api.stores
    await expect.poll(async () => (await control.selectFrom('tenants').selectAll().execute()).length).toBe(1)
    clock.pass(31_000)

    const quick = await api.superAdmin.post('/admin/tenants', wanted)
    goOn()

    expect(quick.status).toBe(201)
    await expect(slow).rejects.toMatchObject({ code: 'tenant_slug_taken' })
    const { data } = (await api.superAdmin.get('/admin/tenants')).body
    expect(data.map(({ id }: { id: string }) => id)).toEqual([quick.body.tenant.id])
    expect((await api.client(quick.body.apiKey).get('/agents')).status).toBe(200)
  })

  test.each(CASES)('%s leaves nothing behind and its slug free', async (_, wrong) => {
    const api = await startApi()
    await expect(create(api, wrong)).rejects.toThrow('the disk is full')
    expect(await leftOf(api)).toEqual([])
    expect((await api.superAdmin.post('/admin/tenants', wanted)).status).toBe(201)
  })

  test('and cannot be cleared away says why it failed; a purge removes the rest after half a minute', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const remove = () => Promise.reject(new Error('still in use'))
    const creation = create(api, ({ tenants }) => ({ commitWith: fail, tenants: { ...tenants, remove } }))
    await expect(creation).rejects.toThrow('the disk is full')
    const [left] = (await api.superAdmin.get('/admin/tenants?status=pending')).body.data
    const purge = (slug: string) =>
      api.superAdmin.delete(`/admin/tenants/${left.id}?purge=true`, { 'x-confirm-purge': slug })

    clock.pass(30_000)
    expect((await purge('acme')).body.code).toBe('tenant_pending')
    clock.pass(1)
    expect((await purge('globex')).body.code).toBe('purge_not_confirmed')
    expect((await api.superAdmin.delete(`/admin/tenants/${left.id}`)).body.code).toBe('tenant_pending')
    const { status, body } = await purge('acme')

    expect(status).toBe(200)
    expect(body).toMatchObject({ tenantId: left.id, slug: 'acme', deleted: { credentials: 1 } })
    expect(await leftOf(api)).toEqual([])
  })
})

test.each(['', 'A', 'a_b', '-a', 'a-', 'a b', '../x', 'ä', 'a'.repeat(64), 'a.b', 'a\n'])(
  'the slug %j is refused',
  async (slug) => {
    const api = await startApi()
    const { status, body } = await api.superAdmin.post('/admin/tenants', { slug, admin: { email: 'a@b.test' } })
    expect([status, body.details?.[0]?.path]).toEqual([400, 'slug'])
  },
)

test('tenants made at once do not disturb each other', async () => {
  const api = await startApi()
  const tenants = await Promise.all(Array.from({ length: 12 }, (_, i) => api.tenant(`tenant-${i}`)))
  const answers = await Promise.all(tenants.map((tenant) => tenant.get('/auth/me')))
  expect(answers.map(({ body }) => body.tenant.slug)).toEqual(tenants.map((_, i) => `tenant-${i}`))
})

test('tenants are listed newest first, by page, by cursor and with a total', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const slugs = Array.from({ length: 7 }, (_, i) => `t-${i}`)
  for (const slug of slugs) {
    await api.tenant(slug)
    clock.pass(1)
  }
  const list = async (query: string) => (await api.superAdmin.get(`/admin/tenants?${query}`)).body
  const slugsOf = ({ data }: { data: { slug: string }[] }) => data.map(({ slug }) => slug)

  const first = await list('limit=3&includeTotal=true')
  expect(slugsOf(first)).toEqual(['t-6', 't-5', 't-4'])
  expect(first.pagination).toMatchObject({ limit: 3, offset: 0, hasMore: true, total: 7 })
  await api.tenant('late')
  const second = await list(`limit=3&cursor=${first.pagination.nextCursor}`)
  expect(slugsOf(second)).toEqual(['t-3', 't-2', 't-1'])
  const third = await list(`limit=3&cursor=${second.pagination.nextCursor}`)
  expect(slugsOf(third)).toEqual(['t-0'])
  expect(third.pagination).toMatchObject({ hasMore: false, nextCursor: null, total: null })
  expect(slugsOf(await list('limit=2&offset=1'))).toEqual(['t-6', 't-5'])
})

test('the list of tenants shows no key and no hash', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body } = await api.superAdmin.get('/admin/tenants')
  expect(Object.keys(body.data[0]).toSorted()).toEqual([
    'createdAt',
    'id',
    'name',
    'plan',
    'quotas',
    'slug',
    'status',
    'updatedAt',
  ])
  expect(JSON.stringify(body)).not.toContain(acme.key?.slice(13, 25))
})
