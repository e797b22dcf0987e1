import { expect, test } from 'vitest'
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
  const { status } = await client.raw(`/api/v2/executions/${id}/events`, {
    headers: { 'last-event-id': String(before.length) },
  })
  expect(status).toBe(204)
  expect(await client.get(`/executions/${id}/events`, { 'last-event-id': 'x' })).toMatchObject({
    status: 400,
    body: { code: 'validation_failed' },
  })
})

test('a tenant has a cap on open streams, and a closed one gives its place back', async () => {
  const model = await openAiServer(() => 'hang!')
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const path = `/api/v2/executions/${started.id}/events`
  const aborts = Array.from({ length: 200 }, () => new AbortController())
  const open = await Promise.all(aborts.map(({ signal }) => acme.raw(path, { signal })))
  expect(open.every(({ status }) => status === 200)).toBe(true)

  expect(await acme.get(`/executions/${started.id}/events`)).toMatchObject({
    status: 429,
    body: { code: 'too_many_streams' },
  })
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
  const told = api.client(key.key).events(started.id)
  await expect.poll(() => model.calls.length).toBe(2)

  await acme.delete(`/auth/api-keys/${key.id}`)
  goOn()

  const types = (await told).map(({ event }) => event)
  expect(types).toContain('execution:task_completed')
  expect(types).not.toContain('execution:completed')
  expect((await acme.events(started.id)).at(-1)?.event).toBe('execution:completed')
})
