import { describe, expect, test } from 'vitest'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

/** Two independent tasks and one that needs the first. */
const PLAN = planOf([
  { id: '001', prompt: 'first' },
  { id: '002', prompt: 'second' },
  { id: '003', prompt: 'third', dependencies: ['001'] },
])

/** An API whose model answers what `first` says to the prompt "first", and well to everything else. */
async function withModel(first: (attempt: number) => Reply, env: Record<string, string> = {}) {
  let attempts = 0
  const model = await openAiServer((call) => {
    if (call.messages[0] !== 'first') return `answer to ${call.messages[0]?.slice(0, 20)}`
    attempts += 1
    return first(attempts)
  })
  const api = await startApi({ env: { ...model.env, ...env } })
  return { model, api, acme: await api.tenant('acme') }
}

const callsFor = (calls: ModelCall[], prompt: string) => calls.filter(({ messages }) => messages[0] === prompt)

describe('a passing failure is tried again', () => {
  const replies: Record<string, Reply> = {
    'rate limit': { status: 429, headers: { 'retry-after': '0' } },
    'server error': { status: 500 },
    garbage: 'garbage!',
    'cut connection': 'cut!',
    'empty answer': '   ',
    hang: 'hang!',
  }
  for (const [name, reply] of Object.entries(replies)) {
    test(name, async () => {
      const { model, acme } = await withModel((attempt) => (attempt < 3 ? reply : 'good at last'), {
        STEP_TIMEOUT_MS: '300',
      })

      const execution = await acme.runDefinition(PLAN)

      expect(execution).toMatchObject({ status: 'completed', completedTasks: 3, failedTasks: 0, skippedTasks: 0 })
      const [step] = execution.subSteps
      expect(step).toMatchObject({
        status: 'completed',
        attempt: 3,
        result: 'good at last',
        provider: 'openai',
        model: 'gpt-5-mini',
      })
      const keys = callsFor(model.calls, 'first').map(({ idempotencyKey }) => idempotencyKey)
      expect(keys).toEqual(Array(3).fill(`${execution.id}/001/0`))
    })
  }
})

test('a step that keeps failing fails, its dependants are skipped, the rest goes on: partial', async () => {
  const { model, acme } = await withModel(() => ({ status: 500 }))

  const execution = await acme.runDefinition(PLAN)

  expect(execution).toMatchObject({
    status: 'partial',
    totalTasks: 3,
    completedTasks: 1,
    failedTasks: 1,
    skippedTasks: 1,
  })
  expect(execution.subSteps.map(({ status }: { status: string }) => status)).toEqual(['failed', 'completed', 'skipped'])
  expect(execution.subSteps[0].error).toMatchObject({ code: 'server_error' })
  expect(execution.subSteps[2].error.message).toContain('001')
  const synthesis = model.calls.find(({ task }) => task === 'synthesis')
  expect(synthesis?.messages[0]).toContain('<missing task="001"')
  const events = await acme.events(execution.id)
  expect(events.at(-1)?.data).toMatchObject({
    type: 'execution:completed',
    data: { status: 'partial', completedTasks: 1, failedTasks: 1 },
  })
})

test('nothing completed: failed, with the reason', async () => {
  const { acme } = await withModel(() => ({ status: 400 }))

  const execution = await acme.runDefinition(planOf([{ id: '001', prompt: 'first' }]))

  expect(execution).toMatchObject({ status: 'failed', failedTasks: 1, finalResult: null })
  expect(execution.subSteps[0]).toMatchObject({ attempt: 1, error: { code: 'bad_request' } })
  const events = await acme.events(execution.id)
  expect(events.at(-1)?.data).toMatchObject({ type: 'execution:failed', error: { code: 'bad_request' } })
})

describe('what a person can cure suspends, and resume goes on', () => {
  const replies: Record<string, [Reply, string]> = {
    'a refused key': [{ status: 401 }, 'key_refused'],
    'an account without money': [
      { status: 429, body: { error: { code: 'insufficient_quota', message: 'pay first' } } },
      'quota_exhausted',
    ],
  }
  for (const [name, [reply, code]] of Object.entries(replies)) {
    test(name, async () => {
      const { model, acme } = await withModel((attempt) => (attempt === 1 ? reply : 'cured'))

      const suspended = await acme.runDefinition(PLAN)
      expect(suspended).toMatchObject({ status: 'suspended', completedAt: null, failedTasks: 0 })
      expect(suspended.suspendedReason).toContain(code)
      expect(suspended.subSteps[0]).toMatchObject({ status: 'pending', error: { code } })

      const { status } = await acme.post(`/executions/${suspended.id}/resume`)
      expect(status).toBe(202)
      const resumed = await acme.ended(suspended.id)
      expect(resumed).toMatchObject({ status: 'completed', completedTasks: 3, retryCount: 1, suspendedReason: null })
      expect(callsFor(model.calls, 'second')).toHaveLength(1)
    })
  }
})

test('a failed execution is resumed from what failed; finished steps are not called again', async () => {
  const { model, acme } = await withModel((attempt) => (attempt <= 3 ? { status: 500 } : 'good now'))
  const partial = await acme.runDefinition(PLAN)
  expect(partial.status).toBe('partial')

  await acme.post(`/executions/${partial.id}/resume`)
  const execution = await acme.ended(partial.id)

  expect(execution).toMatchObject({
    status: 'completed',
    completedTasks: 3,
    failedTasks: 0,
    skippedTasks: 0,
    retryCount: 1,
  })
  expect(callsFor(model.calls, 'second')).toHaveLength(1)
  expect(callsFor(model.calls, 'first').at(-1)?.idempotencyKey).toBe(`${execution.id}/001/1`)
  const events = await acme.events(execution.id)
  expect(events.map(({ id }) => id)).toEqual(events.map((_, index) => index + 1))
  expect(events.filter(({ event }) => event === 'execution:resumed')).toHaveLength(1)
  expect((await acme.post(`/executions/${execution.id}/resume`)).body).toMatchObject({
    code: 'execution_not_resumable',
  })
})

test('a synthesis that cannot be had suspends; resume makes only that call again', async () => {
  let isDown = true
  const model = await openAiServer(({ task }) => (task === 'synthesis' && isDown ? { status: 503 } : 'fine'))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const suspended = await acme.runDefinition(PLAN)
  expect(suspended).toMatchObject({ status: 'suspended', completedTasks: 3 })

  isDown = false
  await acme.post(`/executions/${suspended.id}/resume`)

  expect(await acme.ended(suspended.id)).toMatchObject({ status: 'completed', finalResult: 'fine' })
  expect(model.calls.filter(({ task }) => task === 'answer')).toHaveLength(3)
})

test('a provider without a key is refused before anything is written; no other key is used in its place', async () => {
  const { model, acme } = await withModel(() => 'never')

  const answer = await acme.post('/dags/execute-definition', { definition: PLAN, provider: 'anthropic' })

  expect(answer).toMatchObject({
    status: 422,
    body: { code: 'provider_not_configured', details: { provider: 'anthropic' } },
  })
  expect(model.calls).toHaveLength(0)
  expect((await acme.get('/executions')).body.data).toEqual([])
})

test('an error nobody expected is tried again, and after three times the execution is parked, not lost', async () => {
  const { api, acme } = await withModel(() => 'never')
  await api.api.stores.homes.use(acme.tenantId, async (db) => {
    await db.schema.alterTable('model_calls').renameTo('model_calls_elsewhere').execute()
  })
  const parked = await acme.runDefinition(planOf([{ id: '001', prompt: 'first' }]))
  expect(parked).toMatchObject({ status: 'suspended', suspendedReason: expect.stringContaining('crashed_repeatedly') })

  await api.api.stores.homes.use(acme.tenantId, async (db) => {
    await db.schema
      .alterTable('model_calls_elsewhere' as never)
      .renameTo('model_calls')
      .execute()
  })
  await acme.post(`/executions/${parked.id}/resume`)
  expect(await acme.ended(parked.id)).toMatchObject({ status: 'completed' })
})

test('an answer that was cut at its token limit is used, and the log says that it was cut', async () => {
  const { acme } = await withModel(() => ({ text: 'half an ans', finishReason: 'length' }))

  const execution = await acme.runDefinition(planOf([{ id: '001', prompt: 'first' }]))

  expect(execution.subSteps[0]).toMatchObject({ status: 'completed', result: 'half an ans' })
  const events = await acme.events(execution.id)
  const progress = events
    .filter(({ event }) => event === 'execution:task_progress')
    .map(({ data }) => data.data.message)
  expect(progress).toEqual(['The model stopped before its answer was complete.'])
})
