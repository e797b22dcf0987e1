import Database from 'better-sqlite3'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

/** Statements the product has prepared so far, by database file. */
let prepared: Map<string, Set<string>>

beforeEach(() => {
  prepared = new Map()
  const original = Database.prototype.prepare
  vi.spyOn(Database.prototype, 'prepare').mockImplementation(function (this: Database.Database, text: string) {
    if (!text.startsWith('explain')) prepared.set(this.name, (prepared.get(this.name) ?? new Set()).add(text))
    return original.call(this, text) as never
  })
})

afterEach(() => {
  vi.restoreAllMocks()
})

interface Planned {
  statement: string
  plan: string[]
}

/** What SQLite would do for each statement that was run on files of this name. */
function plansOf(fileName: string): Planned[] {
  return [...prepared]
    .filter(([file]) => file.endsWith(fileName))
    .flatMap(([file, statements]) => {
      const db = new Database(file, { readonly: true })
      const plans = [...statements]
        .filter((statement) => /^\s*(select|update|delete|insert|with)\b/i.test(statement))
        .map((statement) => {
          const parameters = Array(statement.split('?').length - 1).fill('x')
          const rows = db.prepare(`explain query plan ${statement}`).all(...parameters) as { detail: string }[]
          return { statement, plan: rows.map(({ detail }) => detail) }
        })
      db.close()
      return plans
    })
}

// A row or two each, or read only while migrating or at bootstrap.
const SMALL = /^SCAN (t|tenant|admin_keys|sqlite_master|kysely_migration\w*)$/
const NO_TABLE = /^SCAN (CONSTANT ROW|\d+-ROW VALUES CLAUSE)$/
const isWholeTable = (step: string) =>
  /^SCAN /.test(step) && !/ USING (COVERING )?INDEX /.test(step) && !NO_TABLE.test(step) && !SMALL.test(step)
const statementsOf = (planned: Planned[], table: string) =>
  planned.filter(({ statement }) => statement.includes(`from "${table}"`) || statement.includes(`update "${table}"`))

async function useEverything(api: TestApi, acme: Client): Promise<void> {
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
  const started = await acme.post(`/dags/${execution.dagId}/execute`)
  await acme.post(`/executions/${started.body.id}/cancel`)
  await acme.post(`/executions/${started.body.id}/resume`)
  await acme.delete(`/dags/${execution.dagId}`)
  await acme.delete(`/dags/${vague.body.dagId}`)
  const files = await acme.get(`/executions/${execution.id}/artifacts`)
  await acme.get(`/executions/${execution.id}/artifacts/${files.body.data[0].id}`)
  await acme.get(`/costs/executions/${execution.id}`)

  const lists = [
    ['/agents', ['name=a', 'status=active', 'name=a&status=inactive']],
    ['/dags', ['status=success']],
    [
      '/executions',
      [
        'status=completed',
        `dagId=${execution.dagId}`,
        'createdFrom=2026-01-01T00:00:00Z',
        'createdFrom=2026-01-01T00:00:00Z&createdBefore=2099-01-01T00:00:00Z',
        `status=completed&dagId=${execution.dagId}&createdFrom=2026-01-01T00:00:00Z`,
      ],
    ],
    ['/auth/api-keys', []],
    [`/executions/${execution.id}/artifacts`, []],
  ] as const
  for (const [path, filters] of lists) {
    for (const filter of ['', ...filters]) {
      const { body } = await acme.get(`${path}?limit=1&includeTotal=true&${filter}`.replace(/&$/, ''))
      const cursor = body.pagination.nextCursor ?? btoa(`["${execution.createdAt}","${execution.id}"]`)
      expect((await acme.get(`${path}?limit=1&cursor=${cursor}&${filter}`.replace(/&$/, ''))).status).toBe(200)
    }
  }
  const { body: key } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'write'] })
  await api.client(key.key).delete(`/auth/api-keys/${key.id}`)
  await acme.delete(`/executions/${execution.id}`)
  for (const query of ['', '?limit=1&offset=1&includeTotal=true']) await api.superAdmin.get(`/admin/tenants${query}`)
  await api.superAdmin.get(`/admin/tenants?cursor=${btoa(`["${execution.createdAt}","${execution.id}"]`)}`)
}

async function usedApi(): Promise<void> {
  const first = await startApi()
  const acme = await first.tenant('acme')
  await first.tenant('globex')
  await useEverything(first, acme)
  await first.close()
  await startApi({ dataDir: first.dataDir }) // looks for what is unfinished
}

test('no statement of the product reads a whole table', async () => {
  await usedApi()
  for (const [file, atLeast] of [
    ['agent.db', 50],
    ['admin.db', 8],
  ] as const) {
    const planned = plansOf(file)
    expect(planned.length, file).toBeGreaterThan(atLeast)
    for (const { statement, plan } of planned) {
      expect.soft(plan.filter(isWholeTable), statement).toEqual([])
    }
  }
})

test('steps, events and calls of one execution are found through an index on it', async () => {
  await usedApi()
  const planned = plansOf('agent.db')
  for (const table of ['sub_steps', 'execution_events', 'model_calls', 'artifacts']) {
    const own = statementsOf(planned, table)
    expect(own.length, table).toBeGreaterThan(0)
    for (const { statement, plan } of own) {
      expect.soft(plan.join('; '), statement).toMatch(new RegExp(`^SEARCH ${table} USING (COVERING )?INDEX`))
    }
  }
})

test('the newest page of a list is read off its index, not sorted', async () => {
  await usedApi()
  const sorts = ({ plan }: Planned) => plan.some((step) => step.includes('TEMP B-TREE'))
  const pages = [...plansOf('agent.db'), ...plansOf('admin.db')].filter(({ statement }) =>
    statement.includes('order by "created_at" desc, "id" desc'),
  )
  expect(pages.length).toBeGreaterThan(10)
  for (const page of pages) {
    const isFiltered = / where (?!\("created_at", "id"\) <)/.test(page.statement)
    if (!isFiltered) expect.soft(sorts(page), page.statement).toBe(false)
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
