import { expect, test } from 'vitest'
import type { Answer, Client } from '#test/support/client.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from './held-clock.ts'

async function createAgents(client: Client, prefix: string, count: number): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i += 1) {
    const { status, body } = await client.post('/agents', { name: prefix, version: `${i}`, systemPrompt: 'x' })
    expect(status).toBe(201)
    ids.push(body.id)
  }
  return ids
}

/** Walks a list by its cursors; `between` runs before each next page. */
async function walk(client: Client, list: string, between: (page: number) => Promise<unknown> = async () => {}) {
  const rows: { id: string }[] = []
  let cursor: string | null = null
  for (let page = 1; ; page += 1) {
    const { status, body }: Answer = await client.get(`${list}${cursor === null ? '' : `&cursor=${cursor}`}`)
    expect(status).toBe(200)
    rows.push(...body.data)
    expect(body.pagination.hasMore).toBe(body.pagination.nextCursor !== null)
    if (body.pagination.nextCursor === null) return rows
    cursor = body.pagination.nextCursor
    await between(page)
  }
}

test('a walk by cursor meets each old agent exactly once, while new ones come in', async () => {
  const acme = await (await startApi()).tenant('acme')
  const seeded = (await acme.get('/agents?limit=100')).body.data.map(({ id }: { id: string }) => id)
  const old = await createAgents(acme, 'old', 25)

  const seen = await walk(acme, '/agents?limit=4', (page) => createAgents(acme, `new-${page}`, 2))

  const ids = seen.map(({ id }) => id)
  expect(new Set(ids).size).toBe(ids.length)
  expect(ids.toSorted()).toEqual([...old, ...seeded].toSorted())
})

test('the same holds for agents made in one millisecond', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const old = await createAgents(acme, 'old', 25)
  const seen = await walk(acme, '/agents?limit=7&name=old', (page) => createAgents(acme, `new-${page}`, 1))
  expect(seen.map(({ id }) => id).toSorted()).toEqual(old.toSorted())
})

test('rows that are deleted during a walk lose nobody else', async () => {
  const clock = new HeldClock()
  const now = () => {
    clock.pass(1)
    return clock.now()
  }
  const acme = await (await startApi({ overrides: { now } })).tenant('acme')
  const old = await createAgents(acme, 'old', 12)
  const seen = await walk(acme, '/agents?limit=3&name=old', async (page) => {
    if (page === 1) for (const id of old.slice(-4, -2)) await acme.delete(`/agents/${id}`)
  })
  const left = new Set(seen.map(({ id }) => id))
  expect(old.filter((id) => !left.has(id))).toEqual([old[8]])
})

test('lists are newest first', async () => {
  const acme = await (await startApi()).tenant('acme')
  await createAgents(acme, 'old', 10)
  const { body } = await acme.get('/agents')
  const order = body.data.map(({ createdAt, id }: { createdAt: string; id: string }) => `${createdAt} ${id}`)
  expect(order).toEqual(order.toSorted().toReversed())
})

test('pages by offset follow on each other', async () => {
  const acme = await (await startApi()).tenant('acme')
  await createAgents(acme, 'old', 25)
  const page = async (offset: number) => (await acme.get(`/agents?name=old&limit=10&offset=${offset}`)).body
  const pages = [await page(0), await page(10), await page(20), await page(30)]
  expect(pages.map(({ data }) => data.length)).toEqual([10, 10, 5, 0])
  expect(pages.map(({ pagination }) => pagination.hasMore)).toEqual([true, true, false, false])
  expect(pages.map(({ pagination }) => pagination.offset)).toEqual([0, 10, 20, 30])
  expect(new Set(pages.flatMap(({ data }) => data.map(({ id }: { id: string }) => id))).size).toBe(25)
})

test('a page that ends with the last row has no next one', async () => {
  const acme = await (await startApi()).tenant('acme')
  await createAgents(acme, 'old', 5)
  const { pagination } = (await acme.get('/agents?name=old&limit=5')).body
  expect(pagination).toEqual({ limit: 5, offset: 0, hasMore: false, nextCursor: null, total: null })
})

test('the total is counted only when asked for, and under the same filter', async () => {
  const acme = await (await startApi()).tenant('acme')
  await createAgents(acme, 'old', 25)
  const total = async (query: string) => (await acme.get(`/agents?${query}`)).body.pagination.total
  expect(await total('limit=2')).toBeNull()
  expect(await total('limit=2&includeTotal=false')).toBeNull()
  expect(await total('limit=2&includeTotal=true')).toBe(29)
  expect(await total('limit=2&includeTotal=true&name=old')).toBe(25)
  expect(await total('limit=2&includeTotal=true&status=active')).toBe(4)
  const { nextCursor } = (await acme.get('/agents?name=old&limit=20')).body.pagination
  expect(await total(`includeTotal=true&name=old&cursor=${nextCursor}`)).toBe(25)
})

test('without a limit a page has 50 rows', async () => {
  const acme = await (await startApi()).tenant('acme')
  await createAgents(acme, 'old', 50)
  const { body } = await acme.get('/agents')
  expect(body.data.length).toBe(50)
  expect(body.pagination).toMatchObject({ limit: 50, hasMore: true })
})

test('a period takes its first moment in and leaves its last one out, with and without milliseconds', async () => {
  const clock = new HeldClock('2026-03-01T12:00:00.000Z')
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const definition = planOf([{ id: 'a' }])
  const started: string[] = []
  for (const gap of [0, 500, 500]) {
    clock.pass(gap)
    started.push((await acme.post('/dags/execute-definition', { definition })).body.id)
  }
  const between = async (from: string, before: string) => {
    const { status, body } = await acme.get(`/executions?createdFrom=${from}&createdBefore=${before}`)
    expect(status).toBe(200)
    return body.data.map(({ id }: { id: string }) => started.indexOf(id)).toSorted()
  }
  expect(await between('2026-03-01T12:00:00.000Z', '2026-03-01T12:00:01.000Z')).toEqual([0, 1])
  expect(await between('2026-03-01T12:00:00Z', '2026-03-01T12:00:01Z')).toEqual([0, 1])
  expect(await between('2026-03-01T12:00:00.5Z', '2026-03-01T12:00:02Z')).toEqual([1, 2])
})
