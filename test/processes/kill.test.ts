import { expect, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { bootstrapDataDir, type ServerProcess, startServerProcess } from '#test/support/server-process.ts'

const CHAIN = planOf(
  Array.from({ length: 5 }, (_, index) => ({ id: `t${index}`, dependencies: index === 0 ? [] : [`t${index - 1}`] })),
)

function untilStatus(server: ServerProcess, key: string, id: string, status: string) {
  return expect
    .poll(async () => (await server.call(key, 'GET', `/executions/${id}`)).body.status, {
      timeout: 15_000,
      interval: 50,
    })
    .toBe(status)
}

test('kill -9 in the middle of an execution: the next process completes it, and no finished step is called again', async () => {
  let isHanging = true
  const model = await openAiServer(({ idempotencyKey }) =>
    isHanging && idempotencyKey?.includes('/t2/') ? 'hang!' : 'ok',
  )
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, model.env)
  const { body: started } = await first.call(apiKey, 'POST', '/dags/execute-definition', { definition: CHAIN })
  await expect
    .poll(() => model.calls.some(({ idempotencyKey }) => idempotencyKey?.includes('/t2/')), { timeout: 10_000 })
    .toBe(true)
  const before = (await first.call(apiKey, 'GET', `/executions/${started.id}/details`)).body
  await first.kill()
  isHanging = false

  const second = await startServerProcess(dataDir, model.env)
  await untilStatus(second, apiKey, started.id, 'completed')

  const { body: after } = await second.call(apiKey, 'GET', `/executions/${started.id}/details`)
  expect(after).toMatchObject({ completedTasks: 5, failedTasks: 0, retryCount: 0 })
  expect(after.subSteps.slice(0, 2)).toEqual(before.subSteps.slice(0, 2))
  const calls = model.calls
    .filter(({ task }) => task === 'answer')
    .map(({ idempotencyKey }) => idempotencyKey?.split('/')[1])
  expect(calls).toEqual(['t0', 't1', 't2', 't2', 't3', 't4'])
  const [interrupted, again] = model.calls.filter(({ idempotencyKey }) => idempotencyKey?.includes('/t2/'))
  expect(again?.idempotencyKey).toBe(interrupted?.idempotencyKey)
}, 40_000)

test('kill -9 while a goal is planned: the DAG says it was interrupted, and the goal can be created again', async () => {
  const model = await openAiServer(() => 'hang!')
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, model.env)
  first.call(apiKey, 'POST', '/create-execute', { goalText: 'do something' }).catch(() => {})
  await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(1)
  await first.kill()

  const second = await startServerProcess(dataDir, { LLM_PROVIDER: 'offline' })

  const { body } = await second.call(apiKey, 'GET', '/dags')
  expect(body.data).toHaveLength(1)
  expect(body.data[0]).toMatchObject({ status: 'failed', error: { code: 'interrupted' } })
  expect((await second.call(apiKey, 'GET', '/executions')).body.data).toEqual([])
}, 40_000)

test('an execution that its process died in three times is parked, and can be resumed by a person', async () => {
  let isDeadly = true
  const model = await openAiServer(() => (isDeadly ? 'hang!' : 'ok'))
  const { dataDir, apiKey } = bootstrapDataDir()
  let server = await startServerProcess(dataDir, model.env)
  const { body: started } = await server.call(apiKey, 'POST', '/dags/execute-definition', {
    definition: planOf([{ id: '1' }]),
  })
  for (let deaths = 1; deaths <= 3; deaths += 1) {
    await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(deaths)
    await server.kill()
    server = await startServerProcess(dataDir, model.env)
  }

  await untilStatus(server, apiKey, started.id, 'suspended')
  expect(model.calls).toHaveLength(3)
  const { body: parked } = await server.call(apiKey, 'GET', `/executions/${started.id}`)
  expect(parked.suspendedReason).toContain('crashed_repeatedly')

  isDeadly = false
  expect((await server.call(apiKey, 'POST', `/executions/${started.id}/resume`)).status).toBe(202)
  await untilStatus(server, apiKey, started.id, 'completed')
}, 60_000)

test('a polite stop is no crash: the execution goes on in the next process', async () => {
  let isHanging = true
  const model = await openAiServer(() => (isHanging ? 'hang!' : 'ok'))
  const { dataDir, apiKey } = bootstrapDataDir()
  const first = await startServerProcess(dataDir, { ...model.env, SHUTDOWN_GRACE_MS: '100' })
  const { body: started } = await first.call(apiKey, 'POST', '/dags/execute-definition', {
    definition: planOf([{ id: '1' }]),
  })
  await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(1)
  await first.stop()
  isHanging = false

  const second = await startServerProcess(dataDir, model.env)

  await untilStatus(second, apiKey, started.id, 'completed')
  expect(model.calls[1]?.idempotencyKey).toBe(model.calls[0]?.idempotencyKey)
}, 40_000)
