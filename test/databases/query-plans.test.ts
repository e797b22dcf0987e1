import Database from 'better-sqlite3'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { writeInvoice } from '#test/support/past-usage.ts'
import {
  isPage,
  isSorted,
  isWholeTable,
  type Planned,
  plansOf,
  type WatchedStatements,
  watchStatements,
} from '#test/support/query-plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

let watched: WatchedStatements

beforeEach(() => {
  watched = watchStatements()
})

const plans = (fileName: string) => plansOf(watched, fileName)
const statementsOf = (planned: Planned[], table: string) =>
  planned.filter(({ statement }) => statement.includes(`from "${table}"`) || statement.includes(`update "${table}"`))

const PERIOD = 'createdFrom=2026-01-01T00:00:00Z&createdBefore=2099-01-01T00:00:00Z'

async function useEverything(api: TestApi, acme: Client & { tenantId: string }, clock: MovedClock): Promise<void> {
  await acme.get('/health/ready') // finds the newest tenant
  const agent = await acme.post('/agents', { name: 'a', version: '1', systemPrompt: 'x' }, { 'idempotency-key': 'k' })
  await acme.post('/agents', { name: 'a', version: '1', systemPrompt: 'x' }, { 'idempotency-key': 'k' })
  const { body: spare } = await acme.post('/agents', { name: 'a', version: '2', systemPrompt: 'x' })
  await acme.post(`/agents/${agent.body.id}/activate`)
  await acme.patch(`/agents/${agent.body.id}`, { description: 'x' })
  await acme.get('/agents/resolve/a')
  await acme.delete(`/agents/${spare.id}`)

  const execution = await acme.run('Summarise notes.md and write the result to out.md', {
    inputs: [{ name: 'notes.md', content: '# Notes\n\nWe ship on Friday.\n' }],
  })
  const vague = await acme.post('/dags', { goalText: 'help' })
  await acme.post(`/dags/${vague.body.dagId}/resume-clarification`, { userResponse: 'Count the words of "a b"' })
  await acme.patch(`/dags/${execution.dagId}`, { dagTitle: 'x' })
  await useExperiments(acme)
  const scheduleId = await useSchedules(api, acme, clock)
  const started = await acme.post(`/dags/${execution.dagId}/execute`)
  await acme.post(`/executions/${started.body.id}/cancel`)
  await acme.post(`/executions/${started.body.id}/resume`)
  await acme.delete(`/dags/${execution.dagId}`)
  await acme.delete(`/dags/${vague.body.dagId}`)
  const files = await acme.get(`/executions/${execution.id}/artifacts`)
  await acme.get(`/executions/${execution.id}/artifacts/${files.body.data[0].id}`)
  await acme.get(`/costs/executions/${execution.id}`)
  const summaries = ['day', 'week', 'month', 'model', 'agent', 'user'].map((group) => `summary?groupBy=${group}`)
  for (const path of [`dags/${execution.dagId}`, ...summaries])
    expect((await acme.get(`/costs/${path}`)).status).toBe(200)

  const lists = [
    [
      '/agents',
      ['name=a', 'status=active', 'name=a&status=inactive', 'search=a+x', PERIOD, `search=a&name=a&${PERIOD}`],
    ],
    [
      '/dags',
      [
        'status=success',
        'agentName=planner',
        'search=write+notes',
        PERIOD,
        `status=success&agentName=planner&search=notes&${PERIOD}`,
      ],
    ],
    ['/dags/scheduled', ['active=true', 'active=false']],
    ['/schedules', ['active=true', 'active=false', `dagId=${execution.dagId}`, `active=true&dagId=${execution.dagId}`]],
    [`/schedules/${scheduleId}/occurrences`, ['status=started', 'status=waiting']],
    ['/dags/experiments', ['status=completed', 'status=running', PERIOD, `status=completed&${PERIOD}`]],
    [
      '/executions',
      [
        'status=completed',
        'search=notes',
        `search=notes&status=completed&${PERIOD}`,
        `dagId=${execution.dagId}`,
        'createdFrom=2026-01-01T00:00:00Z',
        'createdFrom=2026-01-01T00:00:00Z&createdBefore=2099-01-01T00:00:00Z',
        `status=completed&dagId=${execution.dagId}&createdFrom=2026-01-01T00:00:00Z`,
      ],
    ],
    ['/auth/api-keys', ['owner=service', 'owner=all']],
    [
      '/users',
      [
        'role=admin',
        'status=removed',
        'status=invited&role=viewer',
        'search=ada+ex',
        'createdFrom=2026-01-01T00:00:00Z&createdBefore=2099-01-01T00:00:00Z',
        'role=member&search=ada&createdFrom=2026-01-01T00:00:00Z',
      ],
    ],
    [`/executions/${execution.id}/artifacts`, []],
    [
      '/billing/usage/history',
      [
        'resourceType=compute_ms',
        `executionId=${execution.id}`,
        `dagId=${execution.dagId}`,
        'model=offline-1',
        'from=2026-01-01T00:00:00Z&before=2099-01-01T00:00:00Z',
        `resourceType=executions&executionId=${execution.id}&from=2026-01-01T00:00:00Z`,
      ],
    ],
    ['/billing/invoices', ['status=open']],
  ] as const
  for (const [path, filters] of lists) {
    for (const filter of ['', ...filters]) {
      const { body } = await acme.get(`${path}?limit=1&includeTotal=true&${filter}`.replace(/&$/, ''))
      const cursor = body.pagination.nextCursor ?? btoa(`["${execution.createdAt}","${execution.id}"]`)
      expect((await acme.get(`${path}?limit=1&cursor=${cursor}&${filter}`.replace(/&$/, ''))).status).toBe(200)
    }
  }
  await useBilling(api, acme)
  await useUsers(api, acme)
  await useKeys(api, acme)
  await acme.delete(`/executions/${execution.id}`)
  await administrate(api, btoa(`["${execution.createdAt}","${execution.id}"]`))
}

/** What the super admin does with tenants. */
async function administrate(api: TestApi, cursor: string): Promise<void> {
  const wanted = { slug: 'spare', admin: { email: 'eve@spare.test' } }
  const { body } = await api.superAdmin.post('/admin/tenants', wanted, { 'idempotency-key': 'k' })
  await api.superAdmin.post('/admin/tenants', wanted, { 'idempotency-key': 'k' })
  const { body: kept } = await api.superAdmin.post('/admin/tenants', { slug: 'kept' })
  for (const id of [kept.tenant.id, body.tenant.id]) {
    await api.superAdmin.patch(`/admin/tenants/${id}`, { name: 'x', plan: 'pro', quotas: { maxUsers: 2 } })
    await api.superAdmin.post(`/admin/tenants/${id}/suspend`)
    await api.superAdmin.post(`/admin/tenants/${id}/resume`)
    await api.superAdmin.get(`/admin/tenants/${id}`)
  }
  const range = 'createdFrom=2026-01-01T00:00:00Z&createdBefore=2099-01-01T00:00:00Z'
  for (const filter of ['', 'status=active', 'plan=pro', 'search=kept%20x', range, `status=active&plan=pro&${range}`]) {
    for (const page of ['limit=1&offset=1&includeTotal=true', `cursor=${cursor}`]) {
      expect((await api.superAdmin.get(`/admin/tenants?${page}&${filter}`.replace(/&$/, ''))).status).toBe(200)
    }
  }
  const path = `/admin/tenants/${body.tenant.id}?purge=true`
  expect((await api.superAdmin.delete(path, { 'x-confirm-purge': 'spare' })).status).toBe(200)
}

async function useBilling(api: TestApi, acme: Client & { tenantId: string }): Promise<void> {
  await acme.get('/billing/usage')
  await useQuotas(api)
  await (await acme.raw('/api/v2/billing/usage/export')).text()
  await writeInvoice(api, acme.tenantId)
  const invoices = `/admin/tenants/${acme.tenantId}/invoices`
  const { body } = await api.superAdmin.get(`${invoices}?status=draft`)
  await acme.get(`/billing/invoices/${body.data[0].id}`)
  for (const status of ['open', 'paid']) await api.superAdmin.patch(`${invoices}/${body.data[0].id}`, { status })
  await api.api.tick()
}

/** A tenant with quotas looks at what is used before it does anything. */
async function useQuotas(api: TestApi): Promise<void> {
  const small = await api.tenant('small', { plan: 'free' })
  expect((await small.run('Count the words of "a b"')).status).toBe('completed')
}

async function useUsers(api: TestApi, acme: Client): Promise<void> {
  const invite = async () => (await acme.post('/users/invite', { email: 'ada@example.test', name: 'Ada' })).body
  await invite()
  const { token, user } = await invite()
  const { status } = await api.client(null).post('/users/invite/accept', { token })
  expect(status).toBe(201)
  await acme.get('/users/me')
  await acme.get(`/users/${user.id}`)
  await acme.patch('/users/me', { name: 'Admin' })
  await acme.patch(`/users/${user.id}`, { role: 'admin' })
  await acme.patch(`/users/${user.id}`, { role: 'member' })
  await acme.delete(`/users/${user.id}`)
  await acme.patch(`/users/${user.id}`, { status: 'active' })
}

async function useKeys(api: TestApi, acme: Client): Promise<void> {
  await acme.get('/tenant')
  await acme.patch('/tenant', { maxApiKeyAgeDays: 30 })
  const wanted = { name: 'k', scopes: ['read', 'write', 'admin'], allowedAddresses: ['192.0.2.0/24'] }
  const twice = ['first', 'again']
  for (const _ of twice) await acme.post('/auth/api-keys', wanted, { 'idempotency-key': 'key' })
  const { body: service } = await acme.post('/auth/api-keys', { ...wanted, isServiceKey: true })
  const { body: key } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'write'] })
  for (const { id } of [service, key]) await acme.post(`/auth/api-keys/${id}/rotate`, { overlapSeconds: 60 })
  const program = api.client(key.key)
  const own = await program.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  await program.post(`/auth/api-keys/${own.body.id}/rotate`, {}, { 'idempotency-key': 'rotation' })
  expect((await program.delete(`/auth/api-keys/${key.id}`)).status).toBe(204)
}

async function useExperiments(acme: Client): Promise<void> {
  const wanted = { goalText: 'Count the words of "a b"', models: ['offline-1'], temperatures: [0, 1] }
  const { body } = await acme.post('/dags/experiments', wanted)
  for (let status = 'running'; status === 'running'; ) {
    status = (await acme.get(`/dags/experiments/${body.id}`)).body.status
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Lets schedules of a DAG and of a goal come up, and be held up, in an API whose clock is moved by hand. */
async function useSchedules(api: TestApi, acme: Client & { tenantId: string }, clock: MovedClock): Promise<string> {
  const goal = { goalText: 'Count the words of "a b"' }
  const { body: dag } = await acme.post('/dags', { ...goal, cronSchedule: '@daily' })
  await acme.patch(`/dags/${dag.dagId}`, { scheduleActive: false })
  const minutely = { cronSchedule: '* * * * *', missedRunPolicy: 'all' }
  const ids: string[] = []
  for (const overlapPolicy of ['skip', 'enqueue', 'cancel_previous']) {
    for (const what of [{ goal }, { dagId: dag.dagId }]) {
      ids.push((await acme.post('/schedules', { ...what, ...minutely, overlapPolicy })).body.id)
    }
  }
  for (let minutes = 0; minutes < 3; minutes += 1) {
    clock.aheadMs += 3 * 60_000
    await api.api.tick()
  }
  for (const id of ids.slice(0, -1)) {
    await acme.patch(`/schedules/${id}`, { cronSchedule: '@daily', scheduleActive: false })
    expect((await acme.get(`/schedules/${id}/next-runs`)).status).toBe(200)
    expect((await acme.delete(`/schedules/${id}`)).status).toBe(204)
  }
  const { control } = api.api.stores
  const due = { tenant_id: acme.tenantId, kind: 'schedule_index', subject_id: acme.tenantId, due_at: '2026' }
  await control.insertInto('due_work').values(due).execute()
  await api.api.tick()
  return ids.at(-1) as string
}

/** How far the clock of the API is ahead of ours. */
interface MovedClock {
  aheadMs: number
}

async function usedApi(): Promise<void> {
  const clock: MovedClock = { aheadMs: 0 }
  const first = await startApi({ overrides: { now: () => new Date(Date.now() + clock.aheadMs) } })
  const acme = await first.tenant('acme')
  await first.tenant('globex')
  await useEverything(first, acme, clock)
  await first.close()
  await startApi({ dataDir: first.dataDir }) // looks for what is unfinished
}

test('no statement of the product reads a whole table', async () => {
  await usedApi()
  for (const [file, atLeast] of [
    ['agent.db', 50],
    ['admin.db', 8],
  ] as const) {
    const planned = plans(file)
    expect(planned.length, file).toBeGreaterThan(atLeast)
    for (const { statement, plan } of planned) {
      expect.soft(plan.filter(isWholeTable), statement).toEqual([])
    }
  }
})

test('steps, events and calls of one execution are found through an index on it', async () => {
  await usedApi()
  const planned = plans('agent.db')
  for (const table of ['sub_steps', 'execution_events', 'model_calls', 'artifacts']) {
    const own = statementsOf(planned, table)
    expect(own.length, table).toBeGreaterThan(0)
    for (const { statement, plan } of own) {
      const reads = plan.filter((step) => !step.startsWith('USE TEMP B-TREE')) // how it adds up what it has read
      expect.soft(reads.join('; '), statement).toMatch(new RegExp(`^SEARCH ${table} USING (COVERING )?INDEX`))
    }
  }
})

test('the newest page of a list is read off its index, not sorted', async () => {
  await usedApi()
  const pages = [...plans('agent.db'), ...plans('admin.db')].filter(({ statement }) => isPage(statement))
  expect(pages.length).toBeGreaterThan(10)
  for (const page of pages) {
    const isFiltered = / where (?!\("created_at", "id"\) <)/.test(page.statement)
    if (!isFiltered) expect.soft(isSorted(page), page.statement).toBe(false)
  }
})

describe('what refers to another row', () => {
  test('is found from there without reading its whole table', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const db = new Database(`${api.dataDir}/tenants/${acme.tenantId}/agent.db`, { readonly: true })
    const tables = db.prepare("select name from sqlite_master where type = 'table'").pluck().all() as string[]
    const references = tables.flatMap((table) =>
      (db.pragma(`foreign_key_list(${table})`) as { from: string }[]).map(({ from }) => ({ table, from })),
    )
    expect(references.length).toBeGreaterThanOrEqual(5)
    for (const { table, from } of references) {
      const [step] = db.prepare(`explain query plan select 1 from ${table} where ${from} = ?`).all('x') as {
        detail: string
      }[]
      expect.soft(step?.detail, `${table}.${from}`).toMatch(/^SEARCH .* USING (COVERING )?INDEX/)
    }
    db.close()
  })
})
