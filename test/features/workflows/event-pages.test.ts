import { expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

const CHAIN = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }, { id: '3', dependencies: ['2'] }])
const JSON_PLEASE = { accept: 'application/json' }

interface Event {
  seq: number
  type: string
}

const pageOf = (client: Client, id: string, query = '') => client.get(`/executions/${id}/events${query}`, JSON_PLEASE)

/** Every event behind `after`, page by page. */
async function allPages(client: Client, id: string, limit: number, after = 0): Promise<Event[]> {
  const events: Event[] = []
  for (let query = `?limit=${limit}&after=${after}`; ; ) {
    const { status, body } = await pageOf(client, id, query)
    expect(status).toBe(200)
    events.push(...body.data)
    expect(body.pagination.hasMore).toBe(body.pagination.nextCursor !== null)
    if (!body.pagination.hasMore) return events
    expect(body.data.length).toBe(limit)
    query = `?limit=${limit}&cursor=${body.pagination.nextCursor}`
  }
}

test.each([
  ['application/json', 'application/json'],
  ['Application/JSON; charset=utf-8', 'application/json'],
  ['application/json, text/plain, */*', 'application/json'],
  ['text/html, application/json;q=0.5', 'application/json'],
  ['application/json, text/event-stream;q=0', 'application/json'],
  [undefined, 'text/event-stream'],
  ['', 'text/event-stream'],
  ['*/*', 'text/event-stream'],
  ['text/event-stream', 'text/event-stream'],
  ['text/event-stream, application/json', 'text/event-stream'],
  ['application/json;q=0', 'text/event-stream'],
  ['application/*', 'text/event-stream'],
  ['application/jsonlines', 'text/event-stream'],
  [';,;q=,', 'text/event-stream'],
])('Accept: %s is answered with %s', async (accept, type) => {
  const acme = await (await startApi()).tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const headers: Record<string, string> = accept === undefined ? {} : { accept }
  for (const method of ['GET', 'HEAD']) {
    const response = await acme.raw(`/api/v2/executions/${id}/events`, { method, headers })
    expect([method, response.status]).toEqual([method, 200])
    expect(response.headers.get('content-type')?.split(';')[0]).toBe(type)
    await response.body?.cancel()
  }
})

test('the pages are the stream, however long they are, also after a restart', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const streamed = (await acme.events(id)).map(({ data }) => data)
  for (const limit of [1, 2, 3, streamed.length - 1, streamed.length, 100]) {
    expect(await allPages(acme, id, limit), `limit ${limit}`).toEqual(streamed)
  }
  await api.close()

  const again = (await startApi({ dataDir: api.dataDir })).client(acme.key)
  expect(await allPages(again, id, 4)).toEqual(streamed)
  expect(await allPages(again, id, 4, 3)).toEqual(streamed.slice(3))
})

test('a page says where it began, how many there are when asked, and where the next one begins', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const total = (await acme.events(id)).length

  const { body: first } = await pageOf(acme, id, '?limit=3&includeTotal=true')
  expect(first.pagination).toEqual({ limit: 3, offset: 0, hasMore: true, nextCursor: '3', total })
  const { body: second } = await pageOf(acme, id, `?limit=2&cursor=${first.pagination.nextCursor}`)
  expect(second.data.map(({ seq }: Event) => seq)).toEqual([4, 5])
  expect(second.pagination).toEqual({ limit: 2, offset: 3, hasMore: true, nextCursor: '5', total: null })
  const { body: whole } = await pageOf(acme, id)
  expect(whole.data.length).toBe(total)
  expect(whole.pagination).toEqual({ limit: 50, offset: 0, hasMore: false, nextCursor: null, total: null })
  const { body: exact } = await pageOf(acme, id, `?limit=${total}`)
  expect(exact.pagination).toMatchObject({ hasMore: false, nextCursor: null })
  const { body: none } = await pageOf(acme, id, `?after=${total + 5}&includeTotal=true`)
  expect(none).toEqual({
    data: [],
    pagination: { limit: 50, offset: total + 5, hasMore: false, nextCursor: null, total },
  })
  const { body: byHeader } = await acme.get(`/executions/${id}/events?after=1`, {
    ...JSON_PLEASE,
    'last-event-id': '4',
  })
  expect([byHeader.pagination.offset, byHeader.data[0].seq]).toEqual([4, 5])
})

test('while it runs the pages tell what there is, and later what has come since', async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const model = await openAiServer(async ({ messages }) => {
    if (messages.join('').includes('do 2')) await held
    return 'ok'
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  await expect.poll(() => model.calls.length).toBe(2)

  const before = await allPages(acme, started.id, 2)
  goOn()
  await acme.events(started.id)
  const since = await allPages(acme, started.id, 2, before.at(-1)?.seq)

  expect(before.map(({ type }) => type)).toContain('execution:task_completed')
  expect(since.at(-1)?.type).toBe('execution:completed')
  expect([...before, ...since]).toEqual((await acme.events(started.id)).map(({ data }) => data))
})

test.each([
  ['?cursor=2&after=1', 'cursor'],
  ['?cursor=x', 'cursor'],
  ['?cursor=-1', 'cursor'],
  ['?after=x', 'after'],
  ['?limit=0', 'limit'],
  ['?limit=101', 'limit'],
  ['?includeTotal=yes', 'includeTotal'],
  ['?include=deltas', 'include'],
  ['?offset=1', ''],
])('%s is refused for a page', async (query, path) => {
  const acme = await (await startApi()).tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const { status, body } = await pageOf(acme, id, query)
  expect([status, body.code, body.details[0].path]).toEqual([400, 'validation_failed', path])
})

test('a cursor and a Last-Event-ID do not go together either', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const headers = { ...JSON_PLEASE, 'last-event-id': '1' }
  expect(await acme.get(`/executions/${id}/events?cursor=2`, headers)).toMatchObject({
    status: 400,
    body: { code: 'validation_failed' },
  })
})

test('nobody reads the pages of an execution that never was, or is another tenant’s', async () => {
  const api = await startApi()
  const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
  const { id } = await acme.run('Count the words of "a b c"')
  for (const answer of [await pageOf(acme, crypto.randomUUID()), await pageOf(globex, id)]) {
    expect(answer).toMatchObject({ status: 404, body: { code: 'execution_not_found' } })
  }
})
