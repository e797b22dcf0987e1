import Database from 'better-sqlite3'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

interface Row {
  id: string
  createdAt: string
}

async function acmeAt(start?: string) {
  const clock = new HeldClock(start)
  const api = await startApi({ overrides: { now: clock.now } })
  return { clock, api, acme: await api.tenant('acme') }
}

const query = (filter: object) =>
  new URLSearchParams(
    Object.entries(filter)
      .filter(([, value]) => value !== undefined)
      .map(([name, value]): [string, string] => [name, String(value)]),
  ).toString()

async function list<R extends Row = Row>(client: Client, path: string, filter: object = {}): Promise<R[]> {
  const { status, body } = await client.get(`${path}?${query({ limit: 100, ...filter })}`)
  expect(status, JSON.stringify(filter)).toBe(200)
  return body.data
}

const ids = (rows: readonly Row[]) => rows.map(({ id }) => id)
const WORKS = { tool: 'writeFile', params: { path: 'a.md', content: 'a' } }
const FAILS = { tool: 'readFile', params: { path: 'absent.md' } }

/** A DAG with this title and goal, and an execution of it that has ended. */
async function executed(client: Client, title: string, goal = 'a test', task: object = WORKS) {
  const definition = planOf([{ id: '1', ...task }], { original_request: goal })
  const execution = await client.runDefinition(definition, { title })
  return { dagId: execution.dagId as string, executionId: execution.id as string }
}

const agent = async (client: Client, name: string, description?: string, version = '1') =>
  (await client.post('/agents', { name, version, systemPrompt: 'x', description })).body.id as string

describe('agents are found', () => {
  test('by name, by whether they are active, by words and by when they were made', async () => {
    const { acme, clock } = await acmeAt()
    const seeded = ids(await list(acme, '/agents'))
    clock.pass(60_000)
    const first = await agent(acme, 'sea-writer', 'Writes about the sea')
    clock.pass(60_000)
    const second = await agent(acme, 'sea-writer', 'Writes about harbours', '2')
    clock.pass(60_000)
    const other = await agent(acme, 'clerk', 'Counts ships')
    await acme.post(`/agents/${second}/activate`)
    const found = async (filter: object) => ids(await list(acme, '/agents', filter))

    expect(await found({ name: 'sea-writer' })).toEqual([second, first])
    expect(await found({ name: 'sea' })).toEqual([])
    expect(await found({ name: 'sea-writer', status: 'active' })).toEqual([second])
    expect((await found({ status: 'inactive' })).toSorted()).toEqual([first, other].toSorted())
    expect((await found({ status: 'active' })).toSorted()).toEqual([...seeded, second].toSorted())
    expect(await found({ search: 'ships' })).toEqual([other])
    expect(await found({ search: 'writer harb' })).toEqual([second])
    expect(await found({ createdFrom: '2026-03-01T12:02:00Z' })).toEqual([other, second])
    expect(await found({ createdFrom: '2026-03-01T12:02:00Z', createdBefore: '2026-03-01T12:03:00Z' })).toEqual([
      second,
    ])
    expect(await found({ search: 'sea', createdBefore: '2026-03-01T12:02:00Z', status: 'inactive' })).toEqual([first])
    expect((await acme.get('/agents?status=asleep')).status).toBe(400)
  })

  test('by their new name once they are renamed, and not at all once they are deleted', async () => {
    const { acme, api } = await acmeAt()
    const id = await agent(acme, 'lighthouse', 'Shines at night')
    await acme.patch(`/agents/${id}`, { name: 'beacon' })
    expect(await list(acme, '/agents', { search: 'lighthouse' })).toEqual([])
    expect(ids(await list(acme, '/agents', { search: 'beacon night' }))).toEqual([id])
    await acme.patch(`/agents/${id}`, { description: 'Shines by day' })
    expect(await list(acme, '/agents', { search: 'night' })).toEqual([])
    expect(ids(await list(acme, '/agents', { search: 'day' }))).toEqual([id])

    expect((await acme.delete(`/agents/${id}`)).status).toBe(204)
    expect(await list(acme, '/agents', { search: 'beacon' })).toEqual([])
    expect(wordsLeft(api.dataDir, acme.tenantId, id)).toBe(0)
  })
})

describe('DAGs are found', () => {
  test('by status, by planner and by when they were made', async () => {
    const { acme, clock } = await acmeAt()
    const { body: planned } = await acme.post('/dags', { goalText: 'Count the words of "a b c"' })
    clock.pass(60_000)
    const { body: vague } = await acme.post('/dags', { goalText: 'help' })
    clock.pass(60_000)
    const { dagId: given } = await executed(acme, 'Given')
    const found = async (filter: object) => ids(await list(acme, '/dags', filter))

    expect(await found({ status: 'success' })).toEqual([given, planned.dagId])
    expect(await found({ status: 'clarification_required' })).toEqual([vague.dagId])
    expect(await found({ status: 'failed' })).toEqual([])
    expect(await found({ agentName: 'planner' })).toEqual([vague.dagId, planned.dagId])
    expect(await found({ agentName: 'plan' })).toEqual([])
    expect(await found({ agentName: 'planner', status: 'success' })).toEqual([planned.dagId])
    expect(await found({ createdFrom: '2026-03-01T12:01:00Z', createdBefore: '2026-03-01T12:02:00Z' })).toEqual([
      vague.dagId,
    ])
    expect((await acme.get('/dags?createdFrom=yesterday')).status).toBe(400)
    expect((await acme.get('/dags?agent=planner')).status).toBe(400)
  })

  test('by words of title and goal: whole, beginnings, several in any order, in any case and script', async () => {
    const { acme } = await acmeAt()
    const { dagId: report } = await executed(acme, 'Quarterly Report', 'Add up the sales of 2026, please')
    const { dagId: mail } = await executed(acme, 'Ärger in ÖSTERREICH', 'Schreibe an die Straße — naïve café')
    const { dagId: tokyo } = await executed(acme, '東京 の天気', 'Погода в Москве')
    const found = async (search: string) => ids(await list(acme, '/dags', { search }))

    for (const search of [
      'report',
      'REPORT',
      'Quart',
      'q',
      'sales 2026',
      '2026 quarterly',
      'rep sal',
      'please,',
      '202',
    ])
      expect(await found(search), search).toEqual([report])
    for (const search of ['ärger', 'Österreich', 'österr', 'straße', 'NAÏVE', 'cafe\u0301', 'ä ö'])
      expect(await found(search), search).toEqual([mail])
    for (const search of ['東京', '東', 'погода', 'МОСКВЕ', 'пог моск'])
      expect(await found(search), search).toEqual([tokyo])
    for (const search of ['eport', 'reports', 'report ärger', 'ales', '026', 'arger', '京'])
      expect(await found(search), search).toEqual([])
  })

  test('by words among the first 60 and the first 2,000 characters of title and goal, not by what comes later', async () => {
    const { acme } = await acmeAt()
    const { dagId: long } = await executed(acme, 'Long', `near ${'la '.repeat(700)} far`)
    const words = Array.from({ length: 70 }, (_, i) => `w${i}w`).join(' ')
    const { dagId: rich } = await executed(acme, 'Rich', words)
    const found = async (search: string) => ids(await list(acme, '/dags', { search }))

    expect(await found('near')).toEqual([long])
    expect(await found('far')).toEqual([])
    expect(await found('w58w')).toEqual([rich])
    expect(await found('w59w')).toEqual([])
  })

  test('by nothing that is no word: signs find nothing, and what looks like SQL is words', async () => {
    const { acme } = await acmeAt()
    const { dagId } = await executed(acme, '100% done_or_not', "Robert'); drop table dags; --")
    const found = async (search: string) => ids(await list(acme, '/dags', { search }))

    for (const search of ['%', '_', '*', '?!', '%%', '"', "'", "';--", '—', '\\', '()', '🙂'])
      expect(await found(search), JSON.stringify(search)).toEqual([])
    for (const search of ["' or '2'='2", "x'; drop table dags; --", "%' union select key from api_keys --", '100%x'])
      expect(await found(search), search).toEqual([])
    for (const search of ["'); drop table", '100%', 'done_or', 'robert" or'])
      expect(await found(search), search).toEqual([dagId])
    expect(ids(await list(acme, '/dags'))).toEqual([dagId])
    expect((await acme.get('/dags?search=')).status).toBe(400)
    expect((await acme.get('/dags?search=%00')).status).toBe(400)
    expect((await acme.get('/dags?search=%20%20')).status).toBe(400)
    expect((await acme.get(`/dags?search=${'a'.repeat(101)}`)).status).toBe(400)
  })

  test('by their new title once they are renamed, and not at all once they are deleted; so are their executions', async () => {
    const { acme, api } = await acmeAt()
    const { dagId, executionId } = await executed(acme, 'Lighthouse', 'about the coast')
    const found = async (path: string, search: string) => ids(await list(acme, path, { search }))
    expect(await found('/executions', 'lighthouse')).toEqual([executionId])

    await acme.patch(`/dags/${dagId}`, { dagTitle: 'Beacon' })
    expect(await found('/dags', 'lighthouse')).toEqual([])
    expect(await found('/executions', 'lighthouse')).toEqual([])
    expect(await found('/dags', 'beacon coast')).toEqual([dagId])
    expect(await found('/executions', 'beacon coast')).toEqual([executionId])

    expect((await acme.delete(`/dags/${dagId}`)).status).toBe(409)
    expect(await found('/dags', 'beacon')).toEqual([dagId])
    await acme.delete(`/executions/${executionId}`)
    expect((await acme.delete(`/dags/${dagId}`)).status).toBe(204)
    expect(await found('/dags', 'beacon')).toEqual([])
    expect(await found('/executions', 'beacon')).toEqual([])
    expect(wordsLeft(api.dataDir, acme.tenantId, dagId)).toBe(0)
  })
})

test('executions are found by status, by DAG, by words of their DAG and by when they began', async () => {
  const { acme, clock } = await acmeAt()
  const done = await executed(acme, 'Harbour report', 'count ships')
  clock.pass(60_000)
  const failed = await executed(acme, 'Harbour letter', 'write to the captain', FAILS)
  clock.pass(60_000)
  const { body: again } = await acme.post(`/dags/${done.dagId}/execute`)
  await acme.ended(again.id)
  const found = async (filter: object) => ids(await list(acme, '/executions', filter))

  expect(await found({})).toEqual([again.id, failed.executionId, done.executionId])
  expect(await found({ status: 'completed' })).toEqual([again.id, done.executionId])
  expect(await found({ status: 'failed' })).toEqual([failed.executionId])
  expect(await found({ status: 'running' })).toEqual([])
  expect(await found({ dagId: done.dagId })).toEqual([again.id, done.executionId])
  expect(await found({ dagId: crypto.randomUUID() })).toEqual([])
  expect(await found({ search: 'harbour' })).toEqual([again.id, failed.executionId, done.executionId])
  expect(await found({ search: 'harb capt' })).toEqual([failed.executionId])
  expect(await found({ search: 'ships', createdFrom: '2026-03-01T12:00:01Z' })).toEqual([again.id])
  expect(await found({ search: 'harbour', status: 'completed', createdBefore: '2026-03-01T12:01:00Z' })).toEqual([
    done.executionId,
  ])
  expect(await found({ dagId: done.dagId, status: 'failed' })).toEqual([])
  expect((await acme.get('/executions?dagId=x')).status).toBe(400)
})

test('a filtered list is walked by cursor, each old row once, while fitting and other rows come in', async () => {
  const { acme, clock } = await acmeAt()
  const old: string[] = []
  const add = async (name: string) => {
    clock.pass(1)
    return agent(acme, name, `Says ${name}`, crypto.randomUUID().slice(0, 8))
  }
  for (let i = 0; i < 9; i += 1) {
    old.unshift(await add('gull'))
    await add('crow')
  }
  const filter = query({
    search: 'gu',
    name: 'gull',
    status: 'inactive',
    limit: 2,
    createdFrom: '2026-01-01T00:00:00Z',
  })
  const seen: string[] = []
  for (let cursor = ''; ; ) {
    const { body } = await acme.get(`/agents?${filter}${cursor}`)
    seen.push(...ids(body.data))
    if (body.pagination.nextCursor === null) break
    cursor = `&cursor=${body.pagination.nextCursor}`
    await add('gull')
    await add('crow')
  }
  expect(seen).toEqual(old)

  const { body } = await acme.get(`/agents?${query({ search: 'gull', limit: 3, offset: 4, includeTotal: true })}`)
  expect(ids(body.data)).toEqual(old.slice(0, 3)) // four new ones came in during the walk
  expect(body.pagination).toMatchObject({ total: 13, hasMore: true })
})

test('one tenant’s words find nothing of another tenant', async () => {
  const { acme, api } = await acmeAt()
  await executed(acme, 'Secret harbour')
  await agent(acme, 'harbourmaster')
  const globex = await api.tenant('globex')
  for (const path of ['/agents', '/dags', '/executions']) {
    expect(await list(globex, path, { search: 'harbour' }), path).toEqual([])
  }
  expect((await list(acme, '/dags', { search: 'harbour' })).length).toBe(1)
})

const WORDS = ['sea', 'Seagull', 'ship', 'SHIPS', 'harbour', 'Ärger', 'Äpfel', '東京', '2026', 'a']
const phrase = fc.array(fc.constantFrom(...WORDS), { minLength: 1, maxLength: 4 }).map((words) => words.join(' '))
const searched = fc
  .array(fc.tuple(fc.constantFrom(...WORDS), fc.integer({ min: 1, max: 7 }), fc.boolean()), {
    minLength: 1,
    maxLength: 2,
  })
  .map((parts) =>
    parts.map(([word, length, isLoud]) => (isLoud ? word.toUpperCase() : word).slice(0, length)).join(' '),
  )
const second = fc
  .integer({ min: 0, max: 12 })
  .map((seconds) => new Date(Date.UTC(2026, 2, 1, 12, 0, seconds)).toISOString())
const maybe = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined })

/** What a search means, said once more in JavaScript. */
function hasWords(text: string, search: string): boolean {
  const words = text.toLowerCase().split(' ')
  return search
    .toLowerCase()
    .split(' ')
    .every((part) => words.some((word) => word.startsWith(part)))
}

interface Filter {
  search?: string | undefined
  createdFrom?: string | undefined
  createdBefore?: string | undefined
}

const fits = (filter: Filter, text: string, createdAt: string) =>
  (filter.search === undefined || hasWords(text, filter.search)) &&
  (filter.createdFrom === undefined || createdAt >= filter.createdFrom) &&
  (filter.createdBefore === undefined || createdAt < filter.createdBefore)

describe('whatever the rows and the filter, the list is what filtering all rows gives', () => {
  test('for agents', async () => {
    const { api, clock } = await acmeAt()
    const made = fc.record({
      name: fc.constantFrom('gull', 'crow', 'tern'),
      description: phrase,
      isActive: fc.boolean(),
    })
    const filters = fc.record({
      name: maybe(fc.constantFrom('gull', 'crow', 'gu')),
      status: maybe(fc.constantFrom('active', 'inactive')),
      search: maybe(searched),
      createdFrom: maybe(second),
      createdBefore: maybe(second),
    })
    let tenants = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(made, { minLength: 1, maxLength: 8 }),
        fc.array(filters, { minLength: 8, maxLength: 8 }),
        async (agents, wanted) => {
          clock.pass(Date.parse('2026-03-01T12:00:00Z') - clock.now().getTime())
          tenants += 1
          const acme = await api.tenant(`acme-${tenants}`)
          for (const [index, { name, description, isActive }] of agents.entries()) {
            clock.pass(1_000)
            const id = await agent(acme, name, description, `${index}`)
            if (isActive) await acme.post(`/agents/${id}/activate`)
          }
          type Agent = Row & { name: string; description: string | null; isActive: boolean }
          const all = await list<Agent>(acme, '/agents')
          expect(all.length).toBe(agents.length + 4)
          for (const filter of wanted) {
            const expected = all.filter(
              ({ name, description, isActive, createdAt }) =>
                fits(filter, `${name} ${description}`, createdAt) &&
                (filter.name === undefined || name === filter.name) &&
                (filter.status === undefined || isActive === (filter.status === 'active')),
            )
            expect(ids(await list(acme, '/agents', filter)), JSON.stringify(filter)).toEqual(ids(expected))
          }
        },
      ),
      { numRuns: 12 },
    )
  })

  test('for DAGs and executions', async () => {
    const { api, clock } = await acmeAt()
    const made = fc.record({ title: phrase, goal: phrase, works: fc.boolean(), again: fc.boolean() })
    const filters = fc.record({
      search: maybe(searched),
      createdFrom: maybe(second),
      createdBefore: maybe(second),
      status: maybe(fc.constantFrom('completed', 'failed', 'pending')),
      dag: maybe(fc.nat({ max: 5 })),
    })
    let tenants = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(made, { minLength: 1, maxLength: 5 }),
        fc.array(filters, { minLength: 8, maxLength: 8 }),
        async (dags, wanted) => {
          clock.pass(Date.parse('2026-03-01T12:00:00Z') - clock.now().getTime())
          tenants += 1
          const acme = await api.tenant(`acme-${tenants}`)
          const textOf = new Map<string, string>()
          for (const { title, goal, works, again } of dags) {
            clock.pass(1_000)
            const { dagId } = await executed(acme, title, goal, works ? WORKS : FAILS)
            textOf.set(dagId, `${title} ${goal}`)
            clock.pass(1_000)
            if (again) await acme.ended((await acme.post(`/dags/${dagId}/execute`)).body.id)
          }
          const text = (id: string) => textOf.get(id) ?? ''
          const allDags = await list(acme, '/dags')
          const all = await list<Row & { status: string; dagId: string }>(acme, '/executions')
          expect(allDags.length).toBe(dags.length)
          for (const { status, dag, ...filter } of wanted) {
            const dagId = dag === undefined ? undefined : allDags[dag % allDags.length]?.id
            const expectedDags = allDags.filter(({ id, createdAt }) => fits(filter, text(id), createdAt))
            expect(ids(await list(acme, '/dags', filter)), JSON.stringify(filter)).toEqual(ids(expectedDags))
            const expected = all.filter(
              (row) =>
                fits(filter, text(row.dagId), row.createdAt) &&
                (status === undefined || row.status === status) &&
                (dagId === undefined || row.dagId === dagId),
            )
            const found = ids(await list(acme, '/executions', { ...filter, status, dagId }))
            expect(found, JSON.stringify({ ...filter, status, dagId })).toEqual(ids(expected))
          }
        },
      ),
      { numRuns: 12 },
    )
  })
})

function wordsLeft(dataDir: string, tenantId: string, subjectId: string): number {
  const db = new Database(`${dataDir}/tenants/${tenantId}/agent.db`, { readonly: true })
  const left = db.prepare('select count(*) from search_words where subject_id = ?').pluck().get(subjectId) as number
  db.close()
  return left
}
