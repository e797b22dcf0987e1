import { describe, expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import { startApi } from '#test/support/start-api.ts'
import { begin, statusesOf, typesOf, untilStatus } from './stepwise.ts'

/** Two steps that begin at once, and one that needs both. */
const FORK = { a: [], b: [], c: ['a', 'b'] }

async function office(env: Record<string, string> = {}) {
  const model = await heldModel()
  const api = await startApi({ env: { ...model.env, ...env } })
  const acme = await api.tenant('acme')
  const pause = (id: string) => acme.post(`/executions/${id}/pause`)
  const resume = (id: string, body?: object) => acme.post(`/executions/${id}/resume`, body)
  return { model, api, acme, pause, resume }
}

describe('pausing an execution', () => {
  test('that waits for its turn lets it rest at once; resumed, it runs as if nothing had been', async () => {
    const { model, acme, pause, resume } = await office({ MAX_CONCURRENT_EXECUTIONS: '1' })
    model.hold('first')
    const first = await begin(acme, { first: [] })
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.names()).toEqual(['first'])

    const paused = await pause(id)
    expect([paused.status, paused.body]).toMatchObject([202, { status: 'paused', pauseRequestedAt: null }])
    model.letGo('first')
    await acme.ended(first)
    expect(await untilStatus(acme, id, 'paused')).toMatchObject({ startedAt: null, completedTasks: 0 })
    expect(model.of('a')).toEqual([])

    expect((await resume(id)).body).toMatchObject({ status: 'pending', retryCount: 0 })
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', retryCount: 0, lastRetryAt: null })
    const log = await typesOf(acme, id)
    expect(log.slice(0, 3)).toEqual(['paused', 'resumed', 'started'])
    expect(log.at(-1)).toBe('completed')
  })

  test('that runs lets the steps in flight end and keeps them; nothing more begins', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a', 'b')
    const id = await begin(acme, FORK)
    await expect.poll(() => model.calls.length).toBe(2)

    const asked = await pause(id)
    expect(asked.status).toBe(202)
    expect(asked.body).toMatchObject({ status: 'running', pauseRequestedAt: expect.any(String) })
    model.letGo('a')
    await expect.poll(async () => (await acme.get(`/executions/${id}`)).body.completedTasks).toBe(1)
    expect((await acme.get(`/executions/${id}`)).body).toMatchObject({ status: 'running' })
    model.letGo('b')

    const paused = await untilStatus(acme, id, 'paused')
    expect(paused).toMatchObject({ completedTasks: 2, pauseRequestedAt: null, completedAt: null, finalResult: null })
    expect(statusesOf(paused)).toEqual({ a: 'completed', b: 'completed', c: 'pending' })
    expect((await typesOf(acme, id)).filter((type) => /pause|completed$/.test(type))).toEqual([
      'pause_requested',
      'task_completed',
      'task_completed',
      'wave_completed',
      'paused',
    ])

    expect((await resume(id)).status).toBe(202)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', retryCount: 0, completedTasks: 3 })
    expect(model.names().toSorted()).toEqual(['a', 'b', 'c', 'synthesis'])
    const keys = model.calls.map(({ idempotencyKey }) => idempotencyKey).toSorted()
    expect(keys).toEqual(['a/0', 'b/0', 'c/0', 'synthesis/0'].map((key) => `${id}/${key}`))
  })

  test('leaves its streams open, those from before and those opened while it rests', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [], b: ['a'] })
    const before = acme.events(id)
    await expect.poll(() => model.calls.length).toBe(1)
    await pause(id)
    model.letGo('a')
    await untilStatus(acme, id, 'paused')
    const meanwhile = acme.events(id)

    const patience = new Promise((resolve) => setTimeout(resolve, 200, 'still open'))
    expect(await Promise.race([before, meanwhile, patience])).toBe('still open')
    await resume(id)

    const told = await before
    expect(await meanwhile).toEqual(told)
    expect(told.map(({ event }) => event)).toContain('execution:paused')
    expect(told.at(-1)?.event).toBe('execution:completed')
  })

  test('twice answers the same, before it rests and afterwards', async () => {
    const { model, acme, pause } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.calls.length).toBe(1)

    const { body: first } = await pause(id)
    expect(await pause(id)).toMatchObject({ status: 202, body: { pauseRequestedAt: first.pauseRequestedAt } })
    model.letGo('a')
    await untilStatus(acme, id, 'paused')
    expect(await pause(id)).toMatchObject({ status: 202, body: { status: 'paused' } })
    expect((await typesOf(acme, id)).filter((type) => /pause/.test(type))).toEqual(['pause_requested', 'paused'])
  })

  test('before its steps are put together keeps that call for later', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.calls.length).toBe(1)
    await pause(id)
    model.letGo('a')

    expect(await untilStatus(acme, id, 'paused')).toMatchObject({ completedTasks: 1, totalTasks: 1 })
    expect(model.names()).toEqual(['a'])
    await resume(id)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', finalResult: 'ok' })
    expect(model.names()).toEqual(['a', 'synthesis'])
  })

  test('while they are put together comes too late: it completes, and nobody waits for a pause any more', async () => {
    const { model, acme, pause } = await office()
    model.hold('synthesis')
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.of('synthesis').length).toBe(1)
    expect((await pause(id)).body).toMatchObject({ status: 'running', pauseRequestedAt: expect.any(String) })
    model.letGo('synthesis')
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', pauseRequestedAt: null })
  })

  test('and cancelling it cancels it, before it rests and afterwards', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a', 'b')
    const pausing = await begin(acme, { a: [] })
    const paused = await begin(acme, { b: [] })
    await expect.poll(() => model.calls.length).toBe(2)
    await Promise.all([pause(pausing), pause(paused)])
    model.letGo('b')
    await untilStatus(acme, paused, 'paused')

    for (const id of [pausing, paused]) {
      const { status, body } = await acme.post(`/executions/${id}/cancel`)
      expect([status, body]).toMatchObject([200, { status: 'cancelled', pauseRequestedAt: null }])
      expect(await resume(id)).toMatchObject({ status: 409, body: { code: 'execution_not_resumable' } })
      expect((await typesOf(acme, id)).at(-1)).toBe('cancelled')
    }
    expect(model.names().toSorted()).toEqual(['a', 'b'])
  })

  test('that has ended or is suspended is refused; so is anybody else’s', async () => {
    const model = await heldModel(({ messages: [prompt] }) => {
      if (prompt === 'bad') return { status: 400 }
      return prompt === 'locked' ? { status: 401 } : 'ok'
    })
    const api = await startApi({ env: model.env })
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    const graphs = { completed: { a: [] }, partial: { a: [], bad: [] }, failed: { bad: [] }, suspended: { locked: [] } }
    for (const [status, graph] of Object.entries(graphs)) {
      const id = await begin(acme, graph)
      expect((await acme.ended(id)).status).toBe(status)
      expect(await acme.post(`/executions/${id}/pause`)).toMatchObject({
        status: 409,
        body: { code: 'execution_not_pausable', details: { status } },
      })
    }
    model.hold('a')
    const id = await begin(acme, { a: [] })
    expect((await globex.post(`/executions/${id}/pause`)).status).toBe(404)
    expect((await acme.get(`/executions/${id}`)).body.pauseRequestedAt).toBeNull()
    await acme.post(`/executions/${id}/cancel`)
    expect((await acme.post(`/executions/${id}/pause`)).body.details).toEqual({ status: 'cancelled' })
    expect((await acme.post(`/executions/${crypto.randomUUID()}/pause`)).status).toBe(404)
  })
})

describe('an execution that is about to pause', () => {
  test('goes on when it is resumed before it rests; no step is called twice', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [], b: ['a'] })
    await expect.poll(() => model.calls.length).toBe(1)
    await pause(id)

    expect(await resume(id)).toMatchObject({ status: 202, body: { status: 'running', pauseRequestedAt: null } })
    expect(await resume(id)).toMatchObject({ status: 409, body: { details: { status: 'running' } } })
    model.letGo('a')

    expect(await acme.ended(id)).toMatchObject({ status: 'completed', retryCount: 0 })
    expect(model.names()).toEqual(['a', 'b', 'synthesis'])
    const log = (await typesOf(acme, id)).filter((type) => /pause|resumed/.test(type))
    expect(log).toEqual(['pause_requested', 'resumed'])
  })

  test('pauses when it is asked again after that', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [], b: ['a'] })
    await expect.poll(() => model.calls.length).toBe(1)
    await pause(id)
    await resume(id)
    await pause(id)
    model.letGo('a')
    expect(statusesOf(await untilStatus(acme, id, 'paused'))).toEqual({ a: 'completed', b: 'pending' })
  })

  test('takes no other limits: who wants some waits until it rests', async () => {
    const { model, acme, pause, resume } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [], b: ['a'] })
    await expect.poll(() => model.calls.length).toBe(1)
    await pause(id)
    expect((await resume(id, { limits: { maxSteps: 5 } })).status).toBe(409)
    model.letGo('a')
    await untilStatus(acme, id, 'paused')
    expect((await resume(id, { limits: { maxSteps: 5 } })).body.limits).toEqual({ maxSteps: 5 })
    expect((await acme.ended(id)).status).toBe('completed')
  })
})

test('a paused execution is still paused after a restart, and goes on from there', async () => {
  const { model, api, acme, pause } = await office()
  model.hold('a')
  const id = await begin(acme, { a: [], b: ['a'] })
  await expect.poll(() => model.calls.length).toBe(1)
  await pause(id)
  model.letGo('a')
  await untilStatus(acme, id, 'paused')
  await api.close()

  const again = await startApi({ env: model.env, dataDir: api.dataDir })
  await again.api.tick()
  const client = again.client(acme.key)
  expect((await client.get(`/executions/${id}`)).body.status).toBe('paused')
  expect(model.names()).toEqual(['a'])
  expect((await client.post(`/executions/${id}/resume`)).status).toBe(202)
  expect((await client.ended(id)).status).toBe('completed')
  expect(model.names()).toEqual(['a', 'b', 'synthesis'])
})
