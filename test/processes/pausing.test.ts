import { expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import { bootstrapDataDir, startServerProcess } from '#test/support/server-process.ts'
import { Caller } from './going-on.ts'

const CHAIN = ['a', 'b', 'c'].map((id, index, all) => ({ id, prompt: id, dependencies: all.slice(0, index) }))

test('a pause that was asked for holds although the process is killed before the step in flight has ended', async () => {
  const model = await heldModel()
  const { dataDir, apiKey } = bootstrapDataDir()
  const acme = new Caller(await startServerProcess(dataDir, model.env), apiKey)
  model.hold('b')
  const id = await acme.begin(CHAIN)
  await expect.poll(() => model.of('b').length, { timeout: 10_000 }).toBe(1)
  expect((await acme.post(`/executions/${id}/pause`)).body).toMatchObject({ status: 'running' })
  await acme.server.kill()
  model.letGo('b')

  acme.server = await startServerProcess(dataDir, model.env)

  expect(await acme.until(id, 'paused')).toMatchObject({ completedTasks: 1, pauseRequestedAt: null, retryCount: 0 })
  expect(model.names()).toEqual(['a', 'b'])
  expect((await acme.typesOf(id)).slice(-3)).toEqual(['pause_requested', 'resumed', 'paused'])

  await acme.server.kill()
  acme.server = await startServerProcess(dataDir, model.env)
  expect((await acme.details(id)).status).toBe('paused')
  await acme.post(`/executions/${id}/resume`)
  expect(await acme.until(id, 'completed')).toMatchObject({ completedTasks: 3, retryCount: 0 })
  expect(model.names()).toEqual(['a', 'b', 'b', 'c', 'synthesis'])
  expect(new Set(model.of('b').map(({ idempotencyKey }) => idempotencyKey))).toEqual(new Set([`${id}/b/0`]))
}, 60_000)

test('a pause that was asked for holds although the process is stopped politely', async () => {
  const model = await heldModel()
  const { dataDir, apiKey } = bootstrapDataDir()
  const env = { ...model.env, SHUTDOWN_GRACE_MS: '100' }
  const acme = new Caller(await startServerProcess(dataDir, env), apiKey)
  model.hold('b')
  const id = await acme.begin(CHAIN)
  await expect.poll(() => model.of('b').length, { timeout: 10_000 }).toBe(1)
  await acme.post(`/executions/${id}/pause`)
  await acme.server.stop()
  model.letGo('b')

  acme.server = await startServerProcess(dataDir, env)
  expect((await acme.until(id, 'paused')).completedTasks).toBe(1)
  expect(model.names()).toEqual(['a', 'b'])
}, 60_000)

test('steps that were stopped by a kill keep their key through a resume; those that failed get a new one', async () => {
  let isCured = false
  const model = await heldModel(({ messages: [prompt] }) => (prompt === 'bad' && !isCured ? { status: 401 } : 'ok'))
  const { dataDir, apiKey } = bootstrapDataDir()
  const acme = new Caller(await startServerProcess(dataDir, model.env), apiKey)
  model.hold('slow', 'bad')
  const id = await acme.begin([
    { id: 'slow', prompt: 'slow' },
    { id: 'bad', prompt: 'bad' },
  ])
  await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(2)
  await acme.server.kill()
  model.letGo('bad')
  acme.server = await startServerProcess(dataDir, model.env)
  await expect.poll(() => model.of('slow').length, { timeout: 10_000 }).toBe(2)
  model.letGo('slow')
  await acme.until(id, 'suspended')

  isCured = true
  await acme.post(`/executions/${id}/resume`)
  await acme.until(id, 'completed')
  const keysOf = (name: string) => model.of(name).map(({ idempotencyKey }) => idempotencyKey?.slice(id.length + 1))
  expect(keysOf('slow')).toEqual(['slow/0', 'slow/0'])
  expect(keysOf('bad')).toEqual(['bad/0', 'bad/0', 'bad/1'])
}, 60_000)
