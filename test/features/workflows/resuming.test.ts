import { describe, expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import type { Reply } from '#test/support/openai-server.ts'
import { startApi } from '#test/support/start-api.ts'
import { begin, type Graph, statusesOf, typesOf, untilStatus } from './stepwise.ts'

/** A tenant whose model fails these prompts as long as it is told to. */
async function office(failing: Record<string, Reply>) {
  const replies = new Map(Object.entries(failing))
  const model = await heldModel(
    ({ task, messages }) => replies.get(task === 'answer' ? (messages[0] ?? '') : task) ?? 'ok',
  )
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const cure = (name: string) => replies.delete(name)
  const resume = (id: string, body?: unknown, headers?: Record<string, string>) =>
    acme.post(`/executions/${id}/resume`, body, headers)
  const keysOf = (name: string) =>
    model.of(name).map(({ idempotencyKey }) => idempotencyKey?.split('/').slice(1).join('/'))
  return { model, api, acme, cure, resume, keysOf }
}

const REFUSED: Reply = { status: 400 }
const LOCKED: Reply = { status: 401 }

describe('resuming', () => {
  test('a partial execution runs what failed and what was skipped for it, with new keys, and nothing else', async () => {
    const { model, acme, cure, resume, keysOf } = await office({ b: REFUSED })
    const id = await begin(acme, { a: [], b: ['a'], c: ['b'], d: ['a'] })
    expect(await acme.ended(id)).toMatchObject({
      status: 'partial',
      completedTasks: 2,
      failedTasks: 1,
      skippedTasks: 1,
    })

    cure('b')
    const { status, body } = await resume(id)
    expect([status, body]).toMatchObject([
      202,
      { status: 'pending', retryCount: 1, failedTasks: 0, skippedTasks: 0, completedAt: null, finalResult: null },
    ])
    expect(await acme.ended(id)).toMatchObject({
      status: 'completed',
      completedTasks: 4,
      failedTasks: 0,
      skippedTasks: 0,
    })
    for (const name of ['a', 'd']) expect(keysOf(name)).toEqual([`${name}/0`])
    expect(keysOf('b')).toEqual(['b/0', 'b/1'])
    expect(keysOf('synthesis')).toEqual(['synthesis/0', 'synthesis/1'])
    expect(model.of('c').length).toBe(1)
  })

  test('a failed execution begins with its failed step; each further time with another key', async () => {
    const { acme, cure, resume, keysOf } = await office({ a: REFUSED })
    const id = await begin(acme, { a: [], b: ['a'] })
    expect((await acme.ended(id)).status).toBe('failed')
    await resume(id)
    expect(await acme.ended(id)).toMatchObject({ status: 'failed', retryCount: 1, failedTasks: 1, skippedTasks: 1 })
    cure('a')
    await resume(id)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', retryCount: 2, completedTasks: 2 })
    expect(keysOf('a')).toEqual(['a/0', 'a/1', 'a/2'])
  })

  test('a suspended execution goes on with what was refused; it says that it was resumed', async () => {
    const { acme, cure, resume, keysOf } = await office({ b: LOCKED })
    const id = await begin(acme, { a: [], b: ['a'] })
    expect(await acme.ended(id)).toMatchObject({ status: 'suspended', completedTasks: 1, failedTasks: 0 })
    cure('b')
    await resume(id)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', suspendedReason: null, suspendedAt: null })
    expect(keysOf('a')).toEqual(['a/0'])
    expect(keysOf('b')).toEqual(['b/0', 'b/1'])
    const log = await typesOf(acme, id)
    expect(log.slice(log.indexOf('suspended'), log.indexOf('suspended') + 3)).toEqual([
      'suspended',
      'resumed',
      'wave_started',
    ])
  })

  test('asks for the synthesis only, when only that was refused', async () => {
    const { model, acme, cure, resume, keysOf } = await office({ synthesis: LOCKED })
    const id = await begin(acme, { a: [] })
    expect((await acme.ended(id)).status).toBe('suspended')
    cure('synthesis')
    await resume(id)
    expect((await acme.ended(id)).status).toBe('completed')
    expect(keysOf('synthesis')).toEqual(['synthesis/0', 'synthesis/1'])
    expect(model.of('a').length).toBe(1)
  })

  test('calls a step that was merely stopped again under its old key: nobody knows whether it was answered', async () => {
    const { model, api, acme, resume, keysOf } = await office({})
    model.hold('a')
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.calls.length).toBe(1)
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/resume`)
    expect(statusesOf(await untilStatus(acme, id, 'suspended'))).toEqual({ a: 'pending' })

    model.letGo('a')
    await resume(id)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', retryCount: 1 })
    expect(keysOf('a')).toEqual(['a/0', 'a/0'])
  })

  test('what runs, has completed or was cancelled is refused; another tenant’s is not there', async () => {
    const { model, api, acme, resume } = await office({})
    const globex = await api.tenant('globex')
    const graph: Graph = { a: [] }
    const done = await begin(acme, graph)
    await acme.ended(done)
    model.hold('a')
    const running = await begin(acme, graph)
    await untilStatus(acme, running, 'running')
    for (const [id, status] of [
      [done, 'completed'],
      [running, 'running'],
    ] as const) {
      expect(await resume(id)).toMatchObject({
        status: 409,
        body: { code: 'execution_not_resumable', details: { status } },
      })
    }
    expect((await globex.post(`/executions/${done}/resume`)).status).toBe(404)
    await acme.post(`/executions/${running}/cancel`)
    expect(await resume(running)).toMatchObject({ status: 409, body: { details: { status: 'cancelled' } } })
    expect(await acme.get(`/executions/${done}`)).toMatchObject({ body: { retryCount: 0 } })
  })
})

describe('the body of a resume', () => {
  const JSON_TYPE = { 'content-type': 'application/json' }
  /** What is sent, and what comes of it. */
  const CASES: [
    string,
    { body?: NonNullable<RequestInit['body']>; headers?: Record<string, string> },
    number,
    string?,
  ][] = [
    ['may be left out', {}, 202],
    ['may be left out although a type is named', { headers: JSON_TYPE }, 202],
    ['may be blank', { body: ' \n', headers: JSON_TYPE }, 202],
    ['may be empty', { body: '{}', headers: JSON_TYPE }, 202],
    ['may name its encoding', { body: '{}', headers: { 'content-type': 'application/json; charset=utf-8' } }, 202],
    ['must be JSON', { body: 'limits=1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }, 415],
    ['must say that it is JSON', { body: '{"limits":{"maxSteps":1}}', headers: { 'content-type': 'text/plain' } }, 415],
    [
      'must say so in the usual words',
      { body: '{"limits":{"maxSteps":1}}', headers: { 'content-type': 'text/json' } },
      415,
    ],
    ['must not leave unsaid what it is', { body: new TextEncoder().encode('{"limits":{"maxSteps":1}}') }, 415],
    ['must be whole', { body: '{"limits":', headers: JSON_TYPE }, 400, 'malformed_json'],
    ['must be an object', { body: 'null', headers: JSON_TYPE }, 400, 'validation_failed'],
    ['has no other fields', { body: '{"force":true}', headers: JSON_TYPE }, 400, 'validation_failed'],
    ['knows four limits', { body: '{"limits":{"maxRetries":1}}', headers: JSON_TYPE }, 400, 'validation_failed'],
    ['has limits above 0', { body: '{"limits":{"maxTokens":0}}', headers: JSON_TYPE }, 400, 'validation_failed'],
  ]
  for (const [what, init, expected, code] of CASES) {
    test(what, async () => {
      const { acme } = await office({ a: LOCKED })
      const id = await begin(acme, { a: [] })
      await acme.ended(id)

      const response = await acme.raw(`/api/v2/executions/${id}/resume`, { method: 'POST', ...init })

      const answer = (await response.json()) as { code?: string; retryCount?: number }
      expect(response.status, JSON.stringify(answer)).toBe(expected)
      if (code) expect(answer.code).toBe(code)
      expect((await acme.get(`/executions/${id}`)).body.retryCount).toBe(expected === 202 ? 1 : 0)
    })
  }

  test('is as optional where a DAG is executed', async () => {
    const { acme } = await office({})
    const id = await begin(acme, { a: [] })
    const { dagId } = await acme.ended(id)
    const execute = async (init: { body?: NonNullable<RequestInit['body']>; headers?: Record<string, string> }) =>
      (await acme.raw(`/api/v2/dags/${dagId}/execute`, { method: 'POST', ...init })).status
    for (const [what, init, expected] of CASES) {
      if (what.startsWith('must be an object')) continue
      expect(await execute(init), what).toBe(expected)
    }
  })
})
