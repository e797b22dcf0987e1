import Database from 'better-sqlite3'
import type { KyselyPlugin } from 'kysely'
import { describe, expect, onTestFinished, test } from 'vitest'
import { controlContext } from '#features/identity/enter.ts'
import { TenantNotFound } from '#features/identity/tenants/errors.ts'
import { updateTenant } from '#features/identity/tenants/service.ts'
import type { ControlContext, TenantOperations } from '#kit/context.ts'
import { type NewTenantAnswer, startApi, type TestApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

const ADMIN = { email: 'eve@acme.test', name: 'Eve' }
const withKey = (key: string) => ({ 'idempotency-key': key })
const isReplay = ({ headers }: { headers: Headers }) => headers.get('idempotent-replayed') === 'true'

/** Rows of a table in control that belong to the tenant. */
async function dueWorkOf(api: TestApi, tenantId: string) {
  const { control } = api.api.stores
  return control.selectFrom('due_work').selectAll().where('tenant_id', '=', tenantId).execute()
}

async function pendingTenant(api: TestApi): Promise<string> {
  const id = crypto.randomUUID()
  const at = api.api.stores.now().toISOString()
  const row = { id, name: 'half', slug: 'half', plan: 'free', quotas: '{}', status: 'pending' }
  await api.api.stores.control
    .insertInto('tenants')
    .values({ ...row, created_at: at, updated_at: at })
    .execute()
  return id
}

describe('the list of tenants', () => {
  async function fourTenants() {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const wanted = [
      { slug: 'acme', name: 'Acme Rockets', plan: 'pro' },
      { slug: 'globex', name: 'Globex', plan: 'free' },
      { slug: 'initech', name: 'Initech Rocketry', plan: 'pro' },
      { slug: 'hooli', name: 'Hooli', plan: 'team' },
    ]
    const ids: Record<string, string> = {}
    for (const body of wanted) {
      ids[body.slug] = (await api.superAdmin.post('/admin/tenants', body)).body.tenant.id
      clock.pass(24 * 60 * 60 * 1_000)
    }
    await api.superAdmin.post(`/admin/tenants/${ids.globex}/suspend`)
    const slugs = async (query: string) => {
      const { status, body } = await api.superAdmin.get(`/admin/tenants?${query}`)
      expect(status).toBe(200)
      return body.data.map(({ slug }: { slug: string }) => slug)
    }
    return { api, ids, slugs }
  }

  test('is narrowed by status, plan, words of name or slug and moment of creation, alone and together', async () => {
    const { slugs } = await fourTenants()
    expect(await slugs('')).toEqual(['hooli', 'initech', 'globex', 'acme'])
    expect(await slugs('status=suspended')).toEqual(['globex'])
    expect(await slugs('status=pending')).toEqual([])
    expect(await slugs('plan=pro')).toEqual(['initech', 'acme'])
    expect(await slugs('search=ROCKET')).toEqual(['initech', 'acme'])
    expect(await slugs('search=rocket%20acm')).toEqual(['acme'])
    expect(await slugs('search=hooli')).toEqual(['hooli'])
    expect(await slugs('search=nobody')).toEqual([])
    expect(await slugs('createdFrom=2026-03-02T12:00:00Z&createdBefore=2026-03-04T12:00:00Z')).toEqual([
      'initech',
      'globex',
    ])
    expect(await slugs('createdFrom=2026-03-02T12:00:00Z&plan=pro&search=rock&status=active')).toEqual(['initech'])
  })

  test('can be walked by cursor and by offset while it is narrowed', async () => {
    const { api, slugs } = await fourTenants()
    const { body: first } = await api.superAdmin.get('/admin/tenants?plan=pro&limit=1&includeTotal=true')
    expect([first.data[0].slug, first.pagination.total]).toEqual(['initech', 2])
    expect(await slugs(`plan=pro&limit=1&cursor=${first.pagination.nextCursor}`)).toEqual(['acme'])
    expect(await slugs('status=active&limit=1&offset=1')).toEqual(['initech'])
  })

  test('finds a renamed tenant by its new name and its slug, not by the old name', async () => {
    const { api, ids, slugs } = await fourTenants()
    await api.superAdmin.patch(`/admin/tenants/${ids.hooli}`, { name: 'Pied Piper' })
    expect(await slugs('search=piper')).toEqual(['hooli'])
    expect(await slugs('search=hooli')).toEqual(['hooli'])
    await api.superAdmin.patch(`/admin/tenants/${ids.initech}`, { name: 'Paper' })
    expect(await slugs('search=rocket')).toEqual(['acme'])
  })

  test.each(['status=gone', 'plan=gold', 'createdFrom=yesterday', 'search=', 'colour=red'])(
    'refuses the filter %s',
    async (query) => {
      const api = await startApi()
      expect((await api.superAdmin.get(`/admin/tenants?${query}`)).status).toBe(400)
    },
  )
})

describe('creating a tenant', () => {
  test('needs no admin: there is then no user and no key', async () => {
    const api = await startApi()
    const { status, body } = await api.superAdmin.post('/admin/tenants', { slug: 'acme' })
    expect(status).toBe(201)
    expect(body).toMatchObject({ tenant: { status: 'active', plan: 'free' }, user: null, apiKey: null })
    const { figures } = (await api.superAdmin.get(`/admin/tenants/${body.tenant.id}`)).body
    expect(figures.users).toBe(0)
  })

  test('puts its first invoice into the calendar', async () => {
    const clock = new HeldClock('2026-02-28T23:59:59.000Z')
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    expect(await dueWorkOf(api, acme.tenantId)).toEqual([
      { tenant_id: acme.tenantId, kind: 'invoice', subject_id: '2026-02', due_at: '2026-03-01T00:10:00.000Z' },
    ])
  })

  test('twice with one Idempotency-Key makes one tenant and shows the same user and key', async () => {
    const api = await startApi()
    const wanted = { slug: 'acme', admin: ADMIN }
    const first = await api.superAdmin.post<NewTenantAnswer>('/admin/tenants', wanted, withKey('k-1'))
    const again = await api.superAdmin.post<NewTenantAnswer>('/admin/tenants', wanted, withKey('k-1'))
    expect([first.status, again.status]).toEqual([201, 201])
    expect([isReplay(first), isReplay(again)]).toEqual([false, true])
    expect(again.body).toEqual(first.body)
    expect((await api.client(again.body.apiKey).get('/auth/me')).body.email).toBe(ADMIN.email)
  })

  test('at the same moment with one Idempotency-Key makes one tenant and shows the same key to both', async () => {
    const api = await startApi()
    const create = async (): Promise<NewTenantAnswer> => {
      for (;;) {
        const { status, body } = await api.superAdmin.post(
          '/admin/tenants',
          { slug: 'acme', admin: ADMIN },
          withKey('k'),
        )
        if (status === 201) return body
        expect([status, body.code]).toEqual([409, 'idempotency_in_progress'])
      }
    }
    const [one, other] = await Promise.all([create(), create()])
    expect(other).toEqual(one)
    expect((await api.superAdmin.get('/admin/tenants?includeTotal=true')).body.pagination.total).toBe(1)
  })

  test('shows the key of a repeat for ten minutes and then says that it cannot', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const wanted = { slug: 'acme', admin: ADMIN }
    const repeat = () => api.superAdmin.post('/admin/tenants', wanted, withKey('k'))
    const first = await repeat()
    clock.pass(10 * 60_000 - 1)
    expect((await repeat()).body.apiKey).toBe(first.body.apiKey)
    clock.pass(1)
    const late = await repeat()
    expect([late.status, late.body.code]).toEqual([409, 'secret_no_longer_available'])
    expect((await api.client(first.body.apiKey).get('/auth/me')).status).toBe(200)
  })

  test('without an admin is shown again at any time: there is no secret in it', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const first = await api.superAdmin.post('/admin/tenants', { slug: 'acme' }, withKey('k'))
    clock.pass(60 * 60_000)
    const again = await api.superAdmin.post('/admin/tenants', { slug: 'acme' }, withKey('k'))
    expect([again.status, isReplay(again)]).toEqual([201, true])
    expect(again.body).toEqual(first.body)
  })

  test('with a used Idempotency-Key and another body is refused', async () => {
    const api = await startApi()
    await api.superAdmin.post('/admin/tenants', { slug: 'acme' }, withKey('k'))
    const { status, body } = await api.superAdmin.post('/admin/tenants', { slug: 'globex' }, withKey('k'))
    expect([status, body.code]).toEqual([422, 'idempotency_key_reused'])
  })

  test('that is refused for its slug leaves its Idempotency-Key free', async () => {
    const api = await startApi()
    await api.tenant('acme')
    expect((await api.superAdmin.post('/admin/tenants', { slug: 'acme' }, withKey('k'))).status).toBe(409)
    expect((await api.superAdmin.post('/admin/tenants', { slug: 'globex' }, withKey('k'))).status).toBe(201)
  })
})

describe('a tenant’s details', () => {
  test('count users, agents and what was used this month, and name the migration', async () => {
    const clock = new HeldClock('2026-05-15T12:00:00.000Z')
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme', { plan: 'pro', quotas: { maxUsers: 4, maxAgents: null } })
    const used = [
      ['2026-05', 'executions', 7],
      ['2026-05', 'prompt_tokens', 100],
      ['2026-05', 'cached_tokens', 20],
      ['2026-05', 'completion_tokens', 3],
      ['2026-05', 'compute_ms', 999],
      ['2026-04', 'executions', 50],
      ['2026-04', 'prompt_tokens', 5_000],
    ] as const
    const rows = used.map(([period, resource_type, quantity]) => ({ period, resource_type, quantity }))
    await api.api.stores.homes.use(acme.tenantId, (db) =>
      db
        .insertInto('usage_totals')
        .values(rows.map((row) => ({ ...row, provider: '', model: '', unit_cost: 0 })))
        .execute(),
    )
    await acme.post('/agents', { name: 'writer', version: '1', systemPrompt: 'Write.' })

    const { status, body } = await api.superAdmin.get(`/admin/tenants/${acme.tenantId}`)

    expect(status).toBe(200)
    expect(body).toMatchObject({
      id: acme.tenantId,
      slug: 'acme',
      status: 'active',
      plan: 'pro',
      quotaOverrides: { maxUsers: 4, maxAgents: null },
      quotas: { maxUsers: 4, maxAgents: null, maxExecutionsPerMonth: 5_000 },
      figures: { users: 1, agents: 5, executionsThisMonth: 7, tokensThisMonth: 123, activeExecutions: 0 },
      migration: { current: expect.stringMatching(/^\d{4}_/), isUpToDate: true },
    })
    expect(body.figures.databaseSizeBytes).toBeGreaterThan(4_096)
  })

  test('start anew with the month', async () => {
    const clock = new HeldClock('2026-05-31T23:59:59.999Z')
    const api = await startApi({ overrides: { now: clock.now } })
    const { tenantId } = await api.tenant('acme')
    const row = { resource_type: 'executions', provider: '', model: '', unit_cost: 0, quantity: 3 }
    await api.api.stores.homes.use(tenantId, (db) =>
      db
        .insertInto('usage_totals')
        .values({ ...row, period: '2026-05' })
        .execute(),
    )
    const executions = async () =>
      (await api.superAdmin.get(`/admin/tenants/${tenantId}`)).body.figures.executionsThisMonth
    expect(await executions()).toBe(3)
    clock.pass(1)
    expect(await executions()).toBe(0)
  })
})

describe('changing a tenant', () => {
  test('counts at the next request of its keys', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { plan: 'free' })
    const own = async () => (await acme.get('/tenant')).body
    expect(await own()).toMatchObject({ plan: 'free', quotas: { maxUsers: 3 } })

    const { status, body } = await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, {
      name: 'Acme & Sons',
      plan: 'team',
      quotas: { maxUsers: 5 },
    })

    expect(status).toBe(200)
    expect(body).toMatchObject({ name: 'Acme & Sons', plan: 'team', status: 'active', quotas: { maxUsers: 5 } })
    expect(await own()).toMatchObject({
      name: 'Acme & Sons',
      plan: 'team',
      quotas: { maxUsers: 5, maxAgents: 1_000 },
    })
    expect((await acme.get('/auth/me')).body.tenant).toMatchObject({ name: 'Acme & Sons', plan: 'team' })
  })

  test('of its quotas refuses what they leave no room for at once, and lets it in again', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const path = `/admin/tenants/${acme.tenantId}`
    const create = (version: string) => acme.post('/agents', { name: 'writer', version, systemPrompt: 'Write.' })
    expect((await create('1')).status).toBe(201)
    await api.superAdmin.patch(path, { quotas: { maxAgents: 5 } })
    const refused = await create('2')
    expect([refused.status, refused.body.details]).toEqual([403, { quota: 'maxAgents', limit: 5, used: 5 }])
    await api.superAdmin.patch(path, { quotas: {} })
    expect((await create('2')).status).toBe(201)
  })

  test('leaves what is left out; quotas take the place of all overrides before', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { plan: 'free', quotas: { maxUsers: 9, maxAgents: 90 } })
    const path = `/admin/tenants/${acme.tenantId}`
    await api.superAdmin.patch(path, { plan: 'pro' })
    expect((await api.superAdmin.get(path)).body).toMatchObject({
      plan: 'pro',
      name: 'acme',
      quotaOverrides: { maxUsers: 9, maxAgents: 90 },
    })
    await api.superAdmin.patch(path, { quotas: { maxUsers: null } })
    const { body } = await api.superAdmin.get(path)
    expect(body.quotaOverrides).toEqual({ maxUsers: null })
    expect(body.quotas).toMatchObject({ maxUsers: null, maxAgents: 100 })
    expect((await acme.get('/tenant')).body.quotas).toEqual(body.quotas)
  })

  test('without a difference changes nothing, not even when it was changed', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const path = `/admin/tenants/${acme.tenantId}`
    const { body: before } = await api.superAdmin.patch(path, { name: 'Acme' })
    clock.pass(5_000)
    for (const change of [{}, { name: 'Acme' }, { status: 'active' }, { quotas: {} }]) {
      expect((await api.superAdmin.patch(path, change)).body).toEqual(before)
    }
    const { body: after } = await api.superAdmin.patch(path, { name: 'Acme 2' })
    expect(after.updatedAt).toBe(clock.now().toISOString())
    expect(after.createdAt).toBe(before.createdAt)
  })

  test('by many at once ends the same in control and in the tenant’s own database', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const path = `/admin/tenants/${acme.tenantId}`
    const changes = ['free', 'pro', 'power', 'team'].flatMap((plan, i) => [{ plan }, { name: `n-${i}` }])
    await Promise.all(changes.map((change) => api.superAdmin.patch(path, change)))
    const { body } = await api.superAdmin.get(path)
    const { name, plan, quotas, updatedAt } = body
    expect((await acme.get('/tenant')).body).toMatchObject({ name, plan, quotas, updatedAt })
  })

  test('that is overtaken by another change leaves the newest behind, not its own older copy', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { plan: 'free' })
    const path = `/admin/tenants/${acme.tenantId}`
    const { control, tenants, now } = api.api.stores
    let isOvertaken = false
    const slow: TenantOperations = {
      ...tenants,
      async run(tenantId, operation, input) {
        if (!isOvertaken) await api.superAdmin.patch(path, { plan: 'team' })
        isOvertaken = true
        return tenants.run(tenantId, operation, input)
      },
    }
    await updateTenant(controlContext('slow', control, slow, now), acme.tenantId, { name: 'Slow' })
    expect((await acme.get('/tenant')).body).toMatchObject({ plan: 'team', name: 'Slow' })
  })

  test('leaves what another process changes in the middle of it', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { control, tenants, now } = api.api.stores
    const other = new Database(`${api.dataDir}/admin.db`)
    onTestFinished(() => void other.close())
    const suspension = other.prepare(`update tenants set status = 'suspended' where id = ?`)
    let statements = 0
    const meddling: KyselyPlugin = {
      transformQuery: ({ node }) => node,
      async transformResult({ result }) {
        if (statements === 0) suspension.run(acme.tenantId)
        statements += 1
        return result
      },
    }
    // Where transactions see what others commit meanwhile (READ COMMITTED), one is no more than its statements.
    const ctx: ControlContext = {
      ...controlContext('slow', control, { ...tenants, run: async () => null }, now),
      transaction: (work) => work(control.withPlugin(meddling)),
    }
    const after = await updateTenant(ctx, acme.tenantId, { name: 'Rockets', quotas: { maxUsers: 4 } })
    expect(after).toMatchObject({ name: 'Rockets', status: 'suspended', quotas: { maxUsers: 4 } })
    expect((await api.superAdmin.get('/admin/tenants?search=rockets')).body.data).toEqual([after])
  })

  test('leaves nothing to be done behind', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    for (const change of [{ name: 'x' }, { status: 'suspended' }, { status: 'active' }, {}]) {
      await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, change)
      expect((await dueWorkOf(api, acme.tenantId)).map(({ kind }) => kind)).toEqual(['invoice'])
    }
  })

  test('that a purge overtakes finds no tenant any more, and leaves nothing to be done behind', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { control, tenants, now } = api.api.stores
    const path = `/admin/tenants/${acme.tenantId}`
    await api.superAdmin.post(`${path}/suspend`)
    const slow: TenantOperations = {
      ...tenants,
      run: () => api.superAdmin.delete(`${path}?purge=true`, { 'x-confirm-purge': 'acme' }),
    }
    const late = updateTenant(controlContext('slow', control, slow, now), acme.tenantId, { status: 'active' })
    await expect(late).rejects.toThrow(TenantNotFound)
    expect(await dueWorkOf(api, acme.tenantId)).toEqual([])
  })

  test('that was cut off after the first of two databases is healed by repeating it', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { plan: 'free' })
    await api.api.stores.control.updateTable('tenants').set({ plan: 'pro' }).where('id', '=', acme.tenantId).execute()
    expect((await acme.get('/tenant')).body.plan).toBe('free')
    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { plan: 'pro' })
    expect((await acme.get('/tenant')).body.plan).toBe('pro')
  })

  test('leaves what the tenant has set itself', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    await acme.patch('/tenant', { maxApiKeyAgeDays: 30 })
    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { plan: 'pro', name: 'x' })
    expect((await acme.get('/tenant')).body).toMatchObject({ maxApiKeyAgeDays: 30, plan: 'pro', name: 'x' })
  })

  test.each([{ slug: 'other' }, { status: 'pending' }, { plan: 'gold' }, { name: ' ' }, { quotas: { maxUsers: -1 } }])(
    'to %j is refused',
    async (change) => {
      const api = await startApi()
      const acme = await api.tenant('acme')
      const { status } = await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, change)
      expect(status).toBe(400)
    },
  )
})

const CALLS = [
  ['GET', '', undefined],
  ['PATCH', '', { name: 'x' }],
  ['PATCH', '', { status: 'suspended' }],
  ['POST', '/suspend', undefined],
  ['POST', '/resume', undefined],
  ['DELETE', '', undefined],
  ['DELETE', '?purge=true', undefined],
] as const

describe.each(CALLS)('%s /admin/tenants/{id}%s %j', (method, more, body) => {
  test('finds no tenant that is not there', async () => {
    const api = await startApi()
    const path = `/admin/tenants/${crypto.randomUUID()}${more}`
    const answer = await api.superAdmin.call(method, path, body, { 'x-confirm-purge': 'half' })
    expect([answer.status, answer.body.code]).toEqual([404, 'tenant_not_found'])
  })

  test('leaves a tenant alone that is being created', async () => {
    const api = await startApi()
    const id = await pendingTenant(api)
    const answer = await api.superAdmin.call(method, `/admin/tenants/${id}${more}`, body, { 'x-confirm-purge': 'half' })
    expect([answer.status, answer.body.code]).toEqual([409, 'tenant_pending'])
    const { body: list } = await api.superAdmin.get('/admin/tenants?status=pending')
    expect(list.data).toMatchObject([{ id, name: 'half' }])
  })

  test('one tenant cannot reach another tenant’s administration, nor its own', async () => {
    const api = await startApi()
    const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
    for (const id of [acme.tenantId, globex.tenantId, crypto.randomUUID()]) {
      const answer = await acme.call(method, `/admin/tenants/${id}${more}`, body, { 'x-confirm-purge': 'globex' })
      expect([answer.status, answer.body.code]).toEqual([403, 'insufficient_scope'])
    }
    expect((await globex.get('/auth/me')).body.tenant.name).toBe('globex')
  })
})
