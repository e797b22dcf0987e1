import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { allEvents, type StreamedEvent } from '#test/support/events.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

const CHAIN = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }, { id: '3', dependencies: ['2'] }])

test('a reader that reconnects with Last-Event-ID misses nothing and sees nothing twice', async () => {
  const model = await openAiServer(() => ({ text: 'ok', delayMs: 30 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })

  const seen: number[] = []
  for (let part = [0]; part.length > 0; ) {
    part = (await acme.events(started.id, seen.at(-1), 2)).map(({ id }) => id)
    seen.push(...part)
  }

  expect(seen).toEqual((await acme.events(started.id)).map(({ id }) => id))
  expect((await acme.get(`/executions/${started.id}`)).body.status).toBe('completed')
})

test('the same with ?after=, which no header has to be sent for; with both, Last-Event-ID wins', async () => {
  const model = await openAiServer(() => ({ text: 'ok', delayMs: 30 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })

  const seen: number[] = []
  for (let part = [0]; part.length > 0; ) {
    const events = await acme.events(started.id, undefined, 2, `?after=${seen.at(-1) ?? 0}`)
    part = events.map(({ id }) => id)
    seen.push(...part)
  }

  const complete = await acme.events(started.id)
  expect(seen).toEqual(complete.map(({ id }) => id))
  expect(await acme.events(started.id, 2, undefined, '?after=5')).toEqual(complete.slice(2))
  expect(await acme.events(started.id, complete.length, undefined, '?after=0')).toEqual([])
  expect(await acme.events(started.id, 0, undefined, `?after=${complete.length}`)).toEqual(complete)
})

test('many readers at once all get the whole log, live', async () => {
  const model = await openAiServer(() => ({ text: 'ok', delayMs: 10 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })

  const streams = await Promise.all(Array.from({ length: 50 }, () => acme.events(started.id)))

  const complete = await acme.events(started.id)
  for (const stream of streams) expect(stream).toEqual(complete)
  expect(complete.at(-1)?.event).toBe('execution:completed')
})

test('who has seen it all gets 204; the log survives a restart', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const before = await acme.events(id)
  await api.close()

  const again = await startApi({ dataDir: api.dataDir })
  const client = again.client(acme.key)

  expect(await client.events(id)).toEqual(before)
  const path = `/api/v2/executions/${id}/events`
  const header = { 'last-event-id': String(before.length) }
  expect((await client.raw(path, { headers: header })).status).toBe(204)
  expect((await client.raw(`${path}?after=${before.length}`)).status).toBe(204)
  expect((await client.raw(`${path}?after=${before.length + 1_000}`)).status).toBe(204)
})

test('a reader of an execution that outlives its server comes back to the next one, and misses nothing', async () => {
  let isHeld = true
  const model = await openAiServer(({ messages }) => (isHeld && messages.join('').includes('do 2') ? 'hang!' : 'ok'))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const before = acme.events(started.id)
  await expect.poll(() => model.calls.length).toBe(2)
  await api.close()
  isHeld = false

  const seen = (await before).map(({ id }) => id)
  const again = (await startApi({ dataDir: api.dataDir, env: model.env })).client(acme.key)
  const since = await again.events(started.id, seen.at(-1))

  expect(since.at(-1)?.event).toBe('execution:completed')
  expect([...seen, ...since.map(({ id }) => id)]).toEqual((await again.events(started.id)).map(({ id }) => id))
})

test('HEAD says what GET would, and opens nothing', async () => {
  const api = await startApi({ env: { MAX_STREAMS_PER_TENANT: '1' } })
  const acme = await api.tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const path = `/api/v2/executions/${id}/events`
  for (let i = 0; i < 3; i += 1) {
    const { status, headers } = await acme.raw(path, { method: 'HEAD' })
    expect([status, headers.get('content-type')]).toEqual([200, 'text/event-stream; charset=utf-8'])
  }
  expect((await acme.raw(`${path}?after=1000`, { method: 'HEAD' })).status).toBe(204)
  expect((await acme.raw(`/api/v2/executions/${crypto.randomUUID()}/events`, { method: 'HEAD' })).status).toBe(404)
  expect((await acme.events(id)).length).toBeGreaterThan(0)
})

test.each([
  ['?after=x'],
  ['?after=-1'],
  ['?after=1.5'],
  ['?after=1000000000'],
  ['?include=tokens'],
  ['?cursor=1'],
  ['?from=1'],
])('%s is refused', async (query) => {
  const acme = await (await startApi()).tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  expect(await acme.get(`/executions/${id}/events${query}`)).toMatchObject({
    status: 400,
    body: { code: 'validation_failed' },
  })
})

test('a Last-Event-ID that is no number is refused; so is an execution that never was', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  expect(await acme.get(`/executions/${id}/events`, { 'last-event-id': 'x' })).toMatchObject({
    status: 400,
    body: { code: 'validation_failed' },
  })
  expect(await acme.get(`/executions/${crypto.randomUUID()}/events`)).toMatchObject({
    status: 404,
    body: { code: 'execution_not_found' },
  })
})

test('a tenant has a cap on open streams, and a closed one gives its place back', async () => {
  const model = await openAiServer(() => 'hang!')
  const api = await startApi({ env: { ...model.env, MAX_STREAMS_PER_TENANT: '20' } })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const path = `/api/v2/executions/${started.id}/events`
  const aborts = Array.from({ length: 20 }, () => new AbortController())
  const open = await Promise.all(aborts.map(({ signal }) => acme.raw(path, { signal })))
  expect(open.every(({ status }) => status === 200)).toBe(true)

  expect(await acme.get(`/executions/${started.id}/events`)).toMatchObject({
    status: 429,
    body: { code: 'too_many_streams', details: { limit: 20 } },
  })
  const pages = await acme.get(`/executions/${started.id}/events`, { accept: 'application/json' })
  expect(pages.status).toBe(200) // a page is read and done
  aborts[0]?.abort()
  await open[0]?.body?.cancel().catch(() => {})

  await expect.poll(async () => (await acme.raw(path, { signal: AbortSignal.timeout(50) })).status).toBe(200)
  for (const abort of aborts) abort.abort()
})

test('a key that is revoked while it follows an execution is told no more of it', async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const model = await openAiServer(async ({ messages }) => {
    if (messages.join('').includes('do 2')) await held
    return 'ok'
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const { body: key } = await acme.post('/auth/api-keys', { name: 'reader', scopes: ['read'] })
  const response = await api.client(key.key).raw(`/api/v2/executions/${started.id}/events`)
  const told: StreamedEvent[] = []
  const ended = allEvents(response, told)
  await expect.poll(() => told.map(({ event }) => event)).toContain('execution:task_completed')

  await acme.delete(`/auth/api-keys/${key.id}`)
  await sleep(1_100) // for a second a stream may go by what it has read of its key
  goOn()

  const types = (await ended).map(({ event }) => event)
  expect(types).not.toContain('execution:completed')
  expect((await acme.events(started.id)).at(-1)?.event).toBe('execution:completed')
})

test('who comes back to an execution that was resumed meanwhile gets what came since, and no end before the end', async () => {
  let isBroken = true
  const model = await openAiServer(() => (isBroken ? { status: 401 } : 'ok'))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const first = await acme.events(started.id)
  expect(first.at(-1)?.event).toBe('execution:suspended')

  isBroken = false
  await acme.post(`/executions/${started.id}/resume`)
  const second = await acme.events(started.id, first.length)

  expect(second.map(({ id }) => id)).toEqual(second.map((_, index) => first.length + index + 1))
  expect(second.at(0)?.event).toBe('execution:resumed')
  expect(second.at(-1)?.event).toBe('execution:completed')
  expect(await acme.events(started.id)).toEqual([...first, ...second])
})
