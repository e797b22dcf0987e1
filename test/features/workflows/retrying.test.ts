import { describe, expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import { readLedger, sumOfRows } from '#test/support/ledger.ts'
import { startApi } from '#test/support/start-api.ts'
import { begin, statusesOf, typesOf, untilStatus } from './stepwise.ts'

type Details = { id: string; subSteps: { id: string; taskId: string }[] }

/** A tenant whose model refuses these prompts as long as it is told to, and answers each other one differently each time. */
async function office(...refused: string[]) {
  const refusing = new Set(refused)
  let answers = 0
  const model = await heldModel(({ messages: [prompt = ''] }) => {
    answers += 1
    if (!refusing.has(prompt)) return `answer ${answers}`
    return { status: prompt === 'locked' ? 401 : 400 }
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const retry = ({ id, subSteps }: Details, taskId: string) =>
    acme.post(`/executions/${id}/sub-steps/${subSteps.find((step) => step.taskId === taskId)?.id}/retry`)
  return { model, api, acme, retry, cure: (name: string) => refusing.delete(name) }
}

describe('retrying one sub-step', () => {
  test('that failed runs it and what waits for it; another that failed stays failed', async () => {
    const { model, acme, retry, cure } = await office('a', 'b')
    const id = await begin(acme, { a: [], b: [], c: ['a'], d: [] })
    const before = await acme.ended(id)
    expect(statusesOf(before)).toEqual({ a: 'failed', b: 'failed', c: 'skipped', d: 'completed' })

    cure('a')
    const { status, body } = await retry(before, 'a')
    expect([status, body]).toMatchObject([
      202,
      { status: 'pending', completedTasks: 1, failedTasks: 1, skippedTasks: 0, retryCount: 1, finalResult: null },
    ])
    const after = await acme.ended(id)

    expect(statusesOf(after)).toEqual({ a: 'completed', b: 'failed', c: 'completed', d: 'completed' })
    expect(after).toMatchObject({ status: 'partial', completedTasks: 3, failedTasks: 1, skippedTasks: 0 })
    expect(after.subSteps[1]).toEqual(before.subSteps[1])
    expect(after.subSteps[3]).toEqual(before.subSteps[3])
    expect(model.of('a').map(({ idempotencyKey }) => idempotencyKey)).toEqual([`${id}/a/0`, `${id}/a/1`])
    expect([model.of('b').length, model.of('d').length]).toEqual([1, 1])
  })

  test('leaves skipped what waits for another one that failed as well', async () => {
    const { model, acme, retry, cure } = await office('a', 'b')
    const id = await begin(acme, { a: [], b: [], both: ['a', 'b'], last: ['both'], own: ['a'] })
    const before = await acme.ended(id)

    cure('a')
    await retry(before, 'a')
    const after = await acme.ended(id)

    expect(statusesOf(after)).toEqual({
      a: 'completed',
      b: 'failed',
      both: 'skipped',
      last: 'skipped',
      own: 'completed',
    })
    expect(after).toMatchObject({ status: 'partial', completedTasks: 2, failedTasks: 1, skippedTasks: 2 })
    expect(model.of('both')).toEqual([])

    cure('b')
    await retry(after, 'b')
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', completedTasks: 5, skippedTasks: 0 })
  })

  test('that has completed runs all that depends on it again, and the synthesis; the others keep their results', async () => {
    const { model, acme, retry } = await office()
    const id = await begin(acme, { a: [], b: ['a'], c: ['b'], d: ['a'] })
    const before = await acme.ended(id)
    const called = model.calls.length

    expect((await retry(before, 'b')).body).toMatchObject({ status: 'pending', completedTasks: 2 })
    const after = await acme.ended(id)

    expect(after).toMatchObject({ status: 'completed', completedTasks: 4, retryCount: 1 })
    expect(after.finalResult).not.toBe(before.finalResult)
    for (const index of [0, 3]) expect(after.subSteps[index]).toEqual(before.subSteps[index])
    for (const index of [1, 2]) expect(after.subSteps[index].result).not.toBe(before.subSteps[index].result)
    expect(model.calls.slice(called).map(({ idempotencyKey }) => idempotencyKey)).toEqual(
      ['b/1', 'c/1', 'synthesis/1'].map((key) => `${id}/${key}`),
    )
    const [, second] = model.of('c')
    expect(second?.messages[1]).toContain(after.subSteps[1].result) // of b as it is now
  })

  test('is told of, task by task, before what follows from it', async () => {
    const { acme, retry } = await office()
    const id = await begin(acme, { a: [], b: ['a'] })
    const before = await acme.ended(id)
    const [last] = (await acme.events(id)).slice(-1)
    await retry(before, 'a')
    await acme.ended(id)

    const events = await acme.events(id, last?.id)
    expect(events.slice(0, 3).map(({ data: { type, data } }) => [type, data])).toEqual([
      ['execution:task_retried', { taskId: 'a' }],
      ['execution:task_retried', { taskId: 'b' }],
      ['execution:resumed', {}],
    ])
    expect(events.at(-1)?.event).toBe('execution:completed')
    expect(await typesOf(acme, id)).toHaveLength((last?.id ?? 0) + events.length)
  })

  test('leaves all numbers in agreement: details, list, end of the log, costs and ledger', async () => {
    const { api, acme, retry, cure } = await office('b')
    const id = await begin(acme, { a: [], b: ['a'], c: ['b'] })
    const failed = await acme.ended(id)
    await retry(failed, 'b') // fails again
    await acme.ended(id)
    cure('b')
    await retry(failed, 'b')
    const { subSteps, ...details } = await acme.ended(id)

    expect(details).toMatchObject({
      status: 'completed',
      completedTasks: 3,
      failedTasks: 0,
      skippedTasks: 0,
      totalTasks: 3,
    })
    expect((await acme.get('/executions')).body.data).toEqual([details])
    const [end] = (await acme.events(id)).slice(-1)
    expect(end?.data.data).toMatchObject({ status: 'completed', completedTasks: 3, failedTasks: 0 })
    const rows = readLedger(api, acme)
    expect(details.totalUsage).toEqual(sumOfRows(rows).usage)
    expect(details.costUsdMicros).toBe(sumOfRows(rows).costUsdMicros)
    const { body: cost } = await acme.get(`/costs/executions/${id}`)
    expect(cost.totals.executionCostUsdMicros).toBe(details.costUsdMicros)
    for (const step of subSteps) {
      const own = sumOfRows(rows.filter(({ sub_step_id }) => sub_step_id === step.id))
      expect([step.usage, step.costUsdMicros]).toEqual([own.usage, own.costUsdMicros])
    }
  })

  test('of a paused execution lets it go on with the rest as well', async () => {
    const { model, acme, retry } = await office()
    model.hold('b')
    const id = await begin(acme, { a: [], b: ['a'], c: ['b'] })
    await expect.poll(() => model.of('b').length).toBe(1)
    await acme.post(`/executions/${id}/pause`)
    model.letGo('b')
    const paused = await untilStatus(acme, id, 'paused')
    expect(statusesOf(paused)).toEqual({ a: 'completed', b: 'completed', c: 'pending' })
    expect((await retry(paused, 'b')).status).toBe(202)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', completedTasks: 3 })
    expect([model.of('a').length, model.of('b').length, model.of('c').length]).toEqual([1, 2, 1])
  })

  test('of a suspended execution calls again under a new key what was refused beside it', async () => {
    const { model, acme, retry, cure } = await office('locked')
    const id = await begin(acme, { a: [], locked: [] })
    const suspended = await acme.ended(id)
    expect(suspended.status).toBe('suspended')
    cure('locked')
    expect((await retry(suspended, 'a')).status).toBe(202)
    expect((await acme.ended(id)).status).toBe('completed')
    expect(model.of('locked').map(({ idempotencyKey }) => idempotencyKey)).toEqual([`${id}/locked/0`, `${id}/locked/1`])
  })

  test('is refused while the execution runs or when it was cancelled, and for steps that have not run', async () => {
    const { model, api, acme, retry } = await office('a')
    const globex = await api.tenant('globex')
    const partial = await acme.ended(await begin(acme, { a: [], b: ['a'], c: [] }))
    const refusal = (executionStatus: string, subStepStatus: string) => ({
      status: 409,
      body: { code: 'sub_step_not_retryable', details: { executionStatus, subStepStatus } },
    })
    expect(await retry(partial, 'b')).toMatchObject(refusal('partial', 'skipped'))

    model.hold('d')
    const id = await begin(acme, { c: [], d: ['c'], e: ['d'] })
    await expect.poll(() => model.of('d').length).toBe(1)
    const running = (await acme.get(`/executions/${id}/details`)).body
    expect(await retry(running, 'c')).toMatchObject(refusal('running', 'completed'))
    expect(await retry(running, 'e')).toMatchObject(refusal('running', 'pending'))
    await acme.post(`/executions/${id}/cancel`)
    expect(await retry(running, 'c')).toMatchObject(refusal('cancelled', 'completed'))

    const path = (execution: string, step: string) => `/executions/${execution}/sub-steps/${step}/retry`
    const [step] = partial.subSteps
    for (const [client, at, code] of [
      [globex, path(partial.id, step.id), 'execution_not_found'],
      [acme, path(crypto.randomUUID(), step.id), 'execution_not_found'],
      [acme, path(partial.id, crypto.randomUUID()), 'sub_step_not_found'],
      [acme, path(id, step.id), 'sub_step_not_found'],
    ] as const) {
      expect(await client.post(at)).toMatchObject({ status: 404, body: { code } })
    }
    expect(await acme.ended(partial.id)).toEqual(partial)
  })

  test('twice at once runs it once more, not twice', async () => {
    const { model, acme, retry } = await office()
    const before = await acme.ended(await begin(acme, { a: [] }))
    const answers = await Promise.all([retry(before, 'a'), retry(before, 'a')])
    expect(answers.map(({ status }) => status).toSorted()).toEqual([202, 409])
    expect((await acme.ended(before.id)).retryCount).toBe(1)
    expect(model.of('a').length).toBe(2)
  })
})
