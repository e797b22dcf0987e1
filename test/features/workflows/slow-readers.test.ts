import { mkdtempSync, rmSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, onTestFinished, test } from 'vitest'
import { insertEvents } from '#desiagent/store/events.ts'
import { createSuperAdminKey } from '#features/identity/admin-keys/service.ts'
import { readConfig } from '#src/config.ts'
import { type RunningServer, startServer } from '#src/node.ts'
import { Client } from '#test/support/client.ts'
import { readEvents } from '#test/support/events.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'

const CHAIN = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }])
const READER_LIMIT_MS = 1_500
const SLOW_READERS = 10
const MEGABYTE = 1_000_000

/** A server on a real socket whose readers are cut early, with one tenant. */
async function serve(env: Record<string, string>) {
  const dataDir = mkdtempSync(join(tmpdir(), 'desi-slow-'))
  const config = readConfig({
    ...{ NODE_ENV: 'test', LOG_LEVEL: 'silent', API_KEY_BCRYPT_COST: '4', PORT: '0', SHUTDOWN_GRACE_MS: '0' },
    ...{ DESI_DATA_DIR: dataDir, RATE_LIMIT_API_PER_MINUTE: '100000', ...env },
  })
  const server = await startServer(config, { readerLimitMs: READER_LIMIT_MS })
  onTestFinished(async () => {
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  })
  const { control, hasher, now } = server.api.stores
  const superAdmin = new Client(server.api.app, await createSuperAdminKey(control, hasher, true, now()))
  const { body } = await superAdmin.post('/admin/tenants', {
    slug: 'acme',
    plan: 'enterprise',
    admin: { email: 'admin@acme.test' },
  })
  const open = async () => {
    const text = await (await superAdmin.raw('/metrics')).text()
    return Number(/^desi_open_streams (\d+)$/m.exec(text)?.[1])
  }
  return {
    server,
    tenantId: body.tenant.id as string,
    acme: new Client(server.api.app, body.apiKey),
    openStreams: open,
  }
}

/** Asks for a stream over TCP and never reads a byte of the answer. */
function openAndNeverRead({ url }: RunningServer, path: string, key: string | null): Socket {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.pause()
  socket.on('error', () => {}) // it is cut
  socket.write(`GET /api/v2${path} HTTP/1.1\r\nHost: ${hostname}\r\nAuthorization: Bearer ${key}\r\n\r\n`)
  onTestFinished(() => void socket.destroy())
  return socket
}

/** What a socket that was cut had taken in all the same. */
async function leftIn(socket: Socket): Promise<string> {
  socket.resume()
  let text = ''
  for await (const chunk of socket.setEncoding('utf8')) text += chunk
  return text
}

/** What this thread holds in memory: its heap, and the bytes of buffers outside of it. */
function memoryBytes(): number {
  setFlagsFromString('--expose-gc')
  runInNewContext('gc')()
  const { used_heap_size, external_memory } = getHeapStatistics()
  return used_heap_size + external_memory
}

test('who stops reading is cut, costs little memory until then, and holds up neither the execution nor other readers', async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const model = await openAiServer(async ({ messages }) => {
    if (messages.join('').includes('do 2')) await held
    return 'ok'
  })
  const { server, acme, tenantId, openStreams } = await serve(model.env)
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  await expect.poll(() => model.calls.length).toBe(2)
  await growLog(server, tenantId, started.id, 40 * MEGABYTE) // far more than the sockets of both sides take in
  const path = `/executions/${started.id}/events`
  const before = memoryBytes()

  const sockets = Array.from({ length: SLOW_READERS }, () => openAndNeverRead(server, path, acme.key))
  await expect.poll(openStreams).toBe(SLOW_READERS)
  const response = await fetch(`${server.url}/api/v2${path}`, { headers: { authorization: `Bearer ${acme.key}` } })
  const events: number[] = []
  const reading = (async () => {
    for await (const { id } of readEvents(response)) events.push(id)
  })()
  await expect.poll(() => events.length, { timeout: 15_000 }).toBeGreaterThan(2_000)
  const grown = memoryBytes() - before
  goOn()
  await expect
    .poll(async () => (await acme.get(`/executions/${started.id}`)).body.status, { timeout: 5_000 })
    .toBe('completed')
  await reading

  expect(events).toEqual(events.map((_, index) => index + 1))
  expect(grown).toBeLessThan(60 * MEGABYTE) // it would be hundreds
  await expect.poll(openStreams, { timeout: 10_000 }).toBe(0)
  for (const socket of sockets) {
    const told = await leftIn(socket)
    expect(told).toContain('execution:started')
    expect(told).not.toContain('execution:completed')
  }
}, 60_000)

test('the same for what models say: a reader that does not take it has it kept for it nowhere', async () => {
  const said = `${'x'.repeat(499_999)} `
  const model = await openAiServer((call) => (call.task === 'synthesis' ? 'done' : { text: said }))
  const { server, acme, openStreams } = await serve({ ...model.env, MAX_PARALLEL_SUB_STEPS: '2' })
  const tasks = Array.from({ length: 60 }, (_, i) => ({ id: String(i + 1) }))
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf(tasks) })
  const path = `/executions/${started.id}/events?include=deltas`
  const sockets = Array.from({ length: SLOW_READERS }, () => openAndNeverRead(server, path, acme.key))
  await expect.poll(openStreams).toBe(SLOW_READERS)
  await expect
    .poll(async () => (await acme.get(`/executions/${started.id}`)).body.status, { timeout: 30_000 })
    .toBe('completed')
  await expect.poll(openStreams, { timeout: 10_000 }).toBe(0)
  for (const socket of sockets) {
    const told = await leftIn(socket)
    expect(told).toContain('execution:started')
    expect(told).not.toContain('execution:completed')
  }
}, 60_000)

/** Appends events to a running execution's log, as many as have so many bytes together. */
async function growLog(server: RunningServer, tenantId: string, id: string, bytes: number): Promise<void> {
  const message = 'm'.repeat(9_800)
  const count = Math.ceil(bytes / 10_000)
  const event = { type: 'execution:task_progress' as const, data: { taskId: '2', message } }
  const ts = new Date().toISOString()
  await server.api.stores.homes.use(tenantId, async (db) => {
    for (let left = count; left > 0; left -= 100) {
      const events = Array.from({ length: Math.min(100, left) }, () => event)
      await db.transaction().execute(async (tx) => {
        const { last_event_seq } = await tx
          .updateTable('executions')
          .set((eb) => ({ last_event_seq: eb('last_event_seq', '+', events.length) }))
          .where('id', '=', id)
          .returning('last_event_seq')
          .executeTakeFirstOrThrow()
        await insertEvents(tx, id, last_event_seq, events, ts)
      })
    }
  })
}
