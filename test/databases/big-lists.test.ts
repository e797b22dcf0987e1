import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { z } from 'zod'
import type { RouteContract } from '#kit/http/contract.ts'
import { contracts } from '#src/contracts.ts'
import type { Client } from '#test/support/client.ts'
import { explain, isPage, isSorted, isWholeTable, type Planned, watchStatements } from '#test/support/query-plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { fillControl, fillTenant, idOf, ROWS } from './big-tables.ts'

const PAGE_FIELDS = new Set(['limit', 'offset', 'cursor', 'includeTotal'])

const queryOf = ({ request }: RouteContract): z.core.$ZodShape =>
  request?.query instanceof z.ZodObject ? request.query.shape : {}

/**
 * Every list of the product: one that is added is looked at without anybody adding it here. The log of an execution is
 * none: it is read on by number.
 */
const lists = contracts.filter((route) => route.method === 'get' && 'offset' in queryOf(route))

/** Those that show what belongs to one row, a hundred at most: they may be sorted. */
const SHORT = ['/executions/{id}/artifacts']

/** Values for the filters whose schemas do not name them. */
const VALUES: Record<string, string> = {
  search: 'row r77',
  name: 'agent-77',
  agentName: 'agent-7',
  model: 'gpt-5-mini',
  dagId: idOf('dag', 77),
  scheduleId: idOf('dag', 77),
  executionId: idOf('execution', 77),
  createdFrom: '2026-01-02T00:00:00Z',
  createdBefore: '2026-01-03T00:00:00Z',
  from: '2026-01-02T00:00:00Z',
  before: '2026-01-03T00:00:00Z',
}

/** Each filter of a list by itself, with each value it may have. */
function filtersOf(route: RouteContract): string[] {
  return Object.entries(queryOf(route))
    .filter(([name]) => !PAGE_FIELDS.has(name))
    .flatMap(([name, schema]) => valuesOf(name, schema).map((value) => `${name}=${encodeURIComponent(value)}`))
}

function valuesOf(name: string, schema: z.core.$ZodType): string[] {
  let inner = schema
  while (inner instanceof z.ZodOptional || inner instanceof z.ZodDefault) inner = inner.unwrap()
  if (inner instanceof z.ZodEnum) return inner.options.map(String)
  const value = VALUES[name]
  if (value === undefined) throw new Error(`Which value of the filter "${name}" should be tried?`)
  return [value]
}

/** An API whose tenant and control databases have 100,000 rows in each list. */
async function bigApi(): Promise<{
  api: TestApi
  clientOf(route: RouteContract): Client
  pathOf(route: RouteContract): string
}> {
  const empty = await startApi()
  const { tenantId, userId, key } = await empty.tenant('acme')
  await empty.close()
  fillTenant(`${empty.dataDir}/tenants/${tenantId}/agent.db`, userId)
  fillControl(`${empty.dataDir}/admin.db`)

  const api = await startApi({ dataDir: empty.dataDir })
  const acme = api.client(key)
  const ids: Record<string, string> = {
    '/executions/{id}/artifacts': idOf('execution', 1),
    '/schedules/{id}/occurrences': idOf('dag', 1),
    '/admin/tenants/{id}/invoices': tenantId,
  }
  return {
    api,
    clientOf: ({ home }) => (home === 'control' ? api.superAdmin : acme),
    pathOf({ path }) {
      if (path.includes('{') && !(path in ids)) throw new Error(`Whose ${path} should be listed?`)
      return path.replace('{id}', ids[path] ?? '')
    },
  }
}

test(`lists of ${ROWS} rows are read through their indexes, and every page is one query`, {
  timeout: 120_000,
}, async () => {
  const { api, clientOf, pathOf } = await bigApi()
  const watched = watchStatements()
  const plain = new Set<string>()

  for (const route of lists) {
    const [client, path] = [clientOf(route), pathOf(route)]
    const isShort = SHORT.includes(route.path)
    if (await isNotMounted(client, path)) continue
    watched.ran.length = 0

    const first = await pageOf(client, path, 'includeTotal=true')
    const pages = watched.ran.filter(isPage)
    expect.soft(pages.length, path).toBe(1)
    plain.add(pages[0] ?? '')
    if (!isShort) {
      expect.soft(first.pagination.total, path).toBeGreaterThan(50_050)
      const cursor = await pageOf(client, path, `cursor=${first.pagination.nextCursor}`)
      const far = await pageOf(client, path, 'offset=50000')
      const later = watched.ran.filter(isPage).slice(1)
      expect.soft(later.length, path).toBe(2)
      for (const statement of later) plain.add(statement)
      const shown = [first, cursor, far].flatMap(({ data }) => data.map(({ id }) => id))
      expect.soft(new Set(shown).size, path).toBe(150)
    }
    for (const filter of filtersOf(route)) {
      watched.ran.length = 0
      const { status } = await client.get(`${path}?includeTotal=true&${filter}`)
      expect.soft(status, `${path}?${filter}`).toBe(200)
      const { status: behind } = await client.get(`${path}?cursor=${CURSOR}&${filter}`)
      expect.soft(behind, `${path}?${filter}`).toBe(200)
      expect.soft(watched.ran.filter(isPage).length, `${path}?${filter}`).toBe(2)
    }
  }

  for (const analysed of [true, false]) {
    const plans = plansOfLists(watched.prepared, analysed)
    expect(plans.length).toBeGreaterThan(lists.length)
    for (const { statement, plan } of plans) expect.soft(plan.filter(isWholeTable), statement).toEqual([])
    for (const page of plans.filter(({ statement }) => plain.has(statement))) {
      if (!/from "artifacts"/.test(page.statement)) expect.soft(isSorted(page), page.statement).toBe(false)
    }
  }
  await api.close()
})

/** With what ANALYZE knows of these tables and, as most databases are, without. */
function plansOfLists(prepared: ReadonlyMap<string, ReadonlySet<string>>, isAnalysed: boolean): Planned[] {
  return [...prepared].flatMap(([file, statements]) => {
    if (!isAnalysed) forgetStatistics(file)
    return explain(file, statements)
  })
}

function forgetStatistics(file: string): void {
  const db = new Database(file)
  db.exec('drop table if exists sqlite_stat1; drop table if exists sqlite_stat4')
  db.close()
}

const CURSOR = btoa(JSON.stringify(['2026-01-02T00:00:00.000Z', idOf('cursor', 1)]))

interface AnyPage {
  data: { id: string }[]
  pagination: { total: number | null; nextCursor: string | null }
}

async function pageOf(client: Client, path: string, query: string): Promise<AnyPage> {
  const { status, body } = await client.get<AnyPage>(`${path}?${query}`)
  expect.soft(status, `${path}?${query}`).toBe(200)
  expect.soft(body.data?.length, `${path}?${query}`).toBe(50)
  return body
}

async function isNotMounted(client: Client, path: string): Promise<boolean> {
  const response = await client.raw(`/api/v2${path}?limit=1`)
  return response.status === 404 && ((await response.json()) as { code: string }).code === 'route_not_found'
}

test('every list the contracts declare is there to be looked at', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const absent: string[] = []
  for (const { path, home } of lists) {
    const client = home === 'control' ? api.superAdmin : acme
    if (await isNotMounted(client, path.replace('{id}', crypto.randomUUID()))) absent.push(path)
  }
  expect(lists.length).toBeGreaterThanOrEqual(11)
  expect(absent).toEqual([])
})
