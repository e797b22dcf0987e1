import { readdirSync } from 'node:fs'
import { Agent, request } from 'node:http'
import { connect } from 'node:net'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { readEvents } from '#test/support/events.ts'
import { type OpenAiServer, openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { bootstrapDataDir, type ServerProcess, startServerProcess } from '#test/support/server-process.ts'

const CHAIN = planOf([{ id: 't0' }, { id: 't1', dependencies: ['t0'] }, { id: 't2', dependencies: ['t1'] }])
const GRACE_MS = 15_000
const SHORT_GRACE = { SHUTDOWN_GRACE_MS: '300' }

/** Answers all but step t1, which waits until it is let go. */
async function modelWithSlowStep() {
  const gate = Promise.withResolvers<string>()
  const model = await openAiServer(({ idempotencyKey }) => (idempotencyKey?.includes('/t1/') ? gate.promise : 'ok'))
  return { model, letGo: () => gate.resolve('ok') }
}

const stepsCalled = ({ calls }: OpenAiServer) =>
  calls.filter(({ task }) => task === 'answer').map(({ idempotencyKey }) => idempotencyKey?.split('/')[1])

const isInSlowStep = (model: OpenAiServer) =>
  expect.poll(() => stepsCalled(model), { timeout: 10_000 }).toEqual(['t0', 't1'])

async function startChain(server: ServerProcess, key: string): Promise<string> {
  const { body } = await server.call(key, 'POST', '/dags/execute-definition', { definition: CHAIN })
  return body.id
}

async function streamOf(server: ServerProcess, key: string, id: string) {
  const headers = { authorization: `Bearer ${key}` }
  const types: string[] = []
  const response = await fetch(`${server.url}/api/v2/executions/${id}/events`, { headers })
  const ended = (async () => {
    for await (const { event } of readEvents(response)) types.push(event)
  })()
  return { types, ended }
}

const untilCompleted = (server: ServerProcess, key: string, id: string) =>
  expect
    .poll(async () => (await server.call(key, 'GET', `/executions/${id}`)).body.status, { timeout: 15_000 })
    .toBe('completed')

function expectCleanLog({ output }: ServerProcess): void {
  expect(output).toContain('"stopping"')
  expect(output).not.toContain('could not stop cleanly')
  expect(output).not.toContain('"level":"error"')
}

const timesSaid = (server: ServerProcess, words: string) => server.output.split(words).length - 1

test('SIGTERM in a slow step with a stream open: the stream ends, the step is kept, the next process does the rest', async () => {
  const { model, letGo } = await modelWithSlowStep()
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, { ...model.env, SHUTDOWN_GRACE_MS: String(GRACE_MS) })
  const id = await startChain(first, apiKey)
  const stream = await streamOf(first, apiKey, id)
  await isInSlowStep(model)

  const stoppedAt = performance.now()
  first.signal('SIGTERM')
  await stream.ended // before the step has: readers come back with Last-Event-ID
  expect(stream.types).not.toContain('execution:completed')
  letGo()
  expect(await first.ended()).toBe(0)
  expect(performance.now() - stoppedAt).toBeLessThan(GRACE_MS)
  expectCleanLog(first)
  expect(stepsCalled(model)).toEqual(['t0', 't1']) // nothing begins any more, though there was time

  const second = await startServerProcess(dataDir, model.env)
  await untilCompleted(second, apiKey, id)
  expect(stepsCalled(model)).toEqual(['t0', 't1', 't2'])
  const { body } = await second.call(apiKey, 'GET', `/executions/${id}/details`)
  expect(body).toMatchObject({ completedTasks: 3, failedTasks: 0, retryCount: 0 })
}, 60_000)

test('a step that outlasts the grace is aborted and run again by the next process, and only that one', async () => {
  const { model, letGo } = await modelWithSlowStep()
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, { ...model.env, ...SHORT_GRACE })
  const id = await startChain(first, apiKey)
  const stream = await streamOf(first, apiKey, id)
  await isInSlowStep(model)

  first.signal('SIGTERM')
  await stream.ended
  expect(await first.ended()).toBe(0)
  expectCleanLog(first)
  letGo()

  const second = await startServerProcess(dataDir, model.env)
  await untilCompleted(second, apiKey, id)
  expect(stepsCalled(model)).toEqual(['t0', 't1', 't1', 't2'])
}, 60_000)

test('a second signal neither cuts the grace short nor kills', async () => {
  const { model, letGo } = await modelWithSlowStep()
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, { ...model.env, SHUTDOWN_GRACE_MS: String(GRACE_MS) })
  const id = await startChain(first, apiKey)
  await isInSlowStep(model)

  first.signal('SIGTERM')
  await expect.poll(() => timesSaid(first, '"stopping"')).toBe(1)
  first.signal('SIGTERM')
  first.signal('SIGINT')
  await new Promise((resolve) => setTimeout(resolve, 300))
  letGo()
  expect(await first.ended()).toBe(0)
  expect(timesSaid(first, '"stopping"')).toBe(1)
  expectCleanLog(first)

  const second = await startServerProcess(dataDir, model.env)
  await untilCompleted(second, apiKey, id)
  expect(stepsCalled(model)).toEqual(['t0', 't1', 't2'])
}, 60_000)

test('SIGTERM while a goal is planned: the caller gets an answer, and the DAG says it was interrupted', async () => {
  const model = await openAiServer(() => 'hang!')
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, { ...model.env, ...SHORT_GRACE })
  const planning = first.call(apiKey, 'POST', '/create-execute', { goalText: 'do something' })
  await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(1)

  first.signal('SIGTERM')
  const { status, body } = await planning
  expect(status).toBeGreaterThanOrEqual(500)
  expect(body).toMatchObject({ statusCode: status, code: expect.stringMatching(/^[a-z_]+$/) })
  expect(await first.ended()).toBe(0)
  expectCleanLog(first)

  const second = await startServerProcess(dataDir, { LLM_PROVIDER: 'offline' })
  const { data } = (await second.call(apiKey, 'GET', '/dags')).body
  expect(data).toHaveLength(1)
  expect(data[0]).toMatchObject({ status: 'failed', error: { code: 'interrupted' } })
}, 60_000)

test('kept-alive connections and a scraped, probed server do not hold up the end', async () => {
  const { dataDir, apiKey } = bootstrapDataDir()
  const server = await startServerProcess(dataDir, { SHUTDOWN_GRACE_MS: String(GRACE_MS) })
  const agent = new Agent({ keepAlive: true, maxSockets: 5 })
  const get = (path: string) =>
    new Promise<string>((resolve, reject) => {
      const headers = { authorization: `Bearer ${apiKey}` }
      request(`${server.url}${path}`, { agent, headers }, (response) => text(response).then(resolve, reject))
        .on('error', reject)
        .end()
    })
  await Promise.all(['/health/ready', '/metrics', '/api/v2/agents', '/api/v2/rate-limit', '/health'].map(get))
  expect(Object.values(agent.freeSockets).flat()).toHaveLength(5)

  const stoppedAt = performance.now()
  server.signal('SIGTERM')
  expect(await server.ended()).toBe(0)
  expect(performance.now() - stoppedAt).toBeLessThan(GRACE_MS / 2)
  expectCleanLog(server)
  agent.destroy()
}, 60_000)

test('what arrives while it stops is refused in the one error form, and a new connection at the door', async () => {
  const { model, letGo } = await modelWithSlowStep()
  const { dataDir, apiKey } = bootstrapDataDir()
  const server = await startServerProcess(dataDir, { ...model.env, SHUTDOWN_GRACE_MS: String(GRACE_MS) })
  await startChain(server, apiKey)
  await isInSlowStep(model)
  const { hostname, port } = new URL(server.url)
  const socket = connect(Number(port), hostname)
  const answered = text(socket)
  await new Promise((resolve) => socket.write('GET /api/v2/auth/me HTTP/1.1\r\nHost: api.test\r\n', resolve))
  await server.call(apiKey, 'GET', '/auth/me') // by now the server has read the half request

  server.signal('SIGTERM')
  await expect.poll(() => timesSaid(server, '"stopping"')).toBe(1)
  await expect.poll(() => fetch(`${server.url}/health`).catch((error) => error.cause.code)).toBe('ECONNREFUSED')
  socket.write(`Authorization: Bearer ${apiKey}\r\n\r\n`)
  const [head = '', body = ''] = (await answered).split('\r\n\r\n')

  expect(head).toMatch(/^HTTP\/1.1 503 /)
  expect(head.toLowerCase()).toContain('connection: close')
  expect(head.toLowerCase()).toContain('retry-after: 1')
  expect(JSON.parse(body.slice(body.indexOf('{'), body.lastIndexOf('}') + 1))).toMatchObject({
    statusCode: 503,
    code: 'server_stopping',
    requestId: expect.any(String),
  })
  letGo()
  expect(await server.ended()).toBe(0)
  expectCleanLog(server)
}, 60_000)

const RECORDS = 60_000

/** More than fits into what lies between a server and a reader that does not read. */
function addUsageRecords(dataDir: string): void {
  const [tenantId = ''] = readdirSync(join(dataDir, 'tenants'))
  const db = new Database(join(dataDir, 'tenants', tenantId, 'agent.db'))
  db.exec(`
    with recursive n(i) as (select 1 union all select i + 1 from n where i < ${RECORDS})
    insert into usage_records (id, resource_type, quantity, unit_cost, price_version, created_at)
    select printf('00000000-0000-4000-8000-%012d', i), 'execution', i, 0, 'test', '2026-01-01T00:00:00.000Z' from n
  `)
  db.close()
}

async function exportOf(server: ServerProcess, key: string) {
  const headers = { authorization: `Bearer ${key}` }
  const response = await fetch(`${server.url}/api/v2/billing/usage/export`, { headers })
  expect(response.status).toBe(200)
  return (response.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader()
}

test('SIGTERM in the middle of a CSV export: who reads sees it break off, and who does not read holds up nothing', async () => {
  const { dataDir, apiKey } = bootstrapDataDir()
  addUsageRecords(dataDir)
  const server = await startServerProcess(dataDir, { SHUTDOWN_GRACE_MS: String(GRACE_MS) })
  const [reading, waiting] = [await exportOf(server, apiKey), await exportOf(server, apiKey)]
  for (const reader of [reading, waiting]) await reader.read()

  const stoppedAt = performance.now()
  server.signal('SIGTERM')
  await expect.poll(() => timesSaid(server, '"stopping"')).toBe(1)
  const readOn = async (reader: typeof reading) => {
    while (!(await reader.read()).done);
  }
  await expect(readOn(reading)).rejects.toThrow()
  expect(await server.ended()).toBe(0)
  expect(performance.now() - stoppedAt).toBeLessThan(GRACE_MS / 2)
  expectCleanLog(server)
  await expect(readOn(waiting)).rejects.toThrow()
}, 60_000)
