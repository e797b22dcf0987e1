import { describe, expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import { readLedger } from '#test/support/ledger.ts'
import { startApi } from '#test/support/start-api.ts'
import { begin, statusesOf, typesOf, untilStatus } from './stepwise.ts'

async function office(env: Record<string, string> = {}) {
  const model = await heldModel(({ messages: [prompt] }) => {
    if (prompt === 'bad') return { status: 400 }
    return prompt === 'locked' ? { status: 401 } : 'ok'
  })
  const api = await startApi({ env: { ...model.env, ...env } })
  const acme = await api.tenant('acme')
  const cancel = (id: string) => acme.post(`/executions/${id}/cancel`)
  return { model, api, acme, cancel }
}

describe('cancelling an execution', () => {
  test('hangs up on the calls in flight, begins nothing more and ends what had not ended', async () => {
    const { model, api, acme, cancel } = await office()
    model.hold('b', 'c')
    const id = await begin(acme, { a: [], b: ['a'], c: ['a'], d: ['b'] })
    await expect.poll(() => model.calls.length).toBe(3)
    const following = acme.events(id)

    expect(await cancel(id)).toMatchObject({
      status: 200,
      body: { status: 'cancelled', completedAt: expect.any(String) },
    })

    expect((await following).at(-1)?.event).toBe('execution:cancelled')
    await expect.poll(() => readLedger(api, acme).map(({ purpose }) => purpose)).toHaveLength(3)
    await expect.poll(() => model.calls.map(({ isBrokenOff }) => isBrokenOff)).toEqual([false, true, true])
    model.letGo('b', 'c')
    expect(statusesOf((await acme.get(`/executions/${id}/details`)).body)).toEqual({
      a: 'completed',
      b: 'cancelled',
      c: 'cancelled',
      d: 'cancelled',
    })
    expect(model.names().toSorted()).toEqual(['a', 'b', 'c'])
  })

  test('hangs up while its steps are put together, too', async () => {
    const { model, acme, cancel } = await office()
    model.hold('synthesis')
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.of('synthesis').length).toBe(1)
    await cancel(id)
    await expect.poll(() => model.of('synthesis')[0]?.isBrokenOff).toBe(true)
    expect(await acme.ended(id)).toMatchObject({ status: 'cancelled', finalResult: null, completedTasks: 1 })
  })

  test('again answers the same, however often and also at once; the log tells it once', async () => {
    const { model, acme, cancel } = await office()
    model.hold('a')
    const id = await begin(acme, { a: [] })
    await expect.poll(() => model.calls.length).toBe(1)
    const answers = await Promise.all([cancel(id), cancel(id), cancel(id)])
    const late = await cancel(id)
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
    expect(new Set([...answers, late].map(({ body }) => body.completedAt)).size).toBe(1)
    expect((await typesOf(acme, id)).filter((type) => type === 'cancelled')).toHaveLength(1)
  })

  test('works while it waits for its turn, is paused, or is suspended', async () => {
    const { model, acme, cancel } = await office({ MAX_CONCURRENT_EXECUTIONS: '1' })
    const suspended = await begin(acme, { locked: [] })
    await acme.ended(suspended)
    model.hold('slow')
    const running = await begin(acme, { slow: [] })
    await expect.poll(() => model.of('slow').length).toBe(1)
    const [pending, paused] = [await begin(acme, { a: [] }), await begin(acme, { a: [] })]
    await acme.post(`/executions/${paused}/pause`)

    for (const id of [suspended, pending, paused, running]) {
      expect(await cancel(id)).toMatchObject({ status: 200, body: { status: 'cancelled' } })
      expect((await acme.events(id)).at(-1)?.event).toBe('execution:cancelled')
    }
    expect(await begin(acme, { last: [] }).then(acme.ended.bind(acme))).toMatchObject({ status: 'completed' })
    expect(model.of('a')).toEqual([])
  })

  test('is refused when it has ended otherwise, or is another tenant’s', async () => {
    const { api, acme, cancel } = await office()
    const globex = await api.tenant('globex')
    for (const [status, graph] of [
      ['completed', { a: [] }],
      ['partial', { a: [], bad: [] }],
      ['failed', { bad: [] }],
    ] as const) {
      const id = await begin(acme, graph)
      const ended = await acme.ended(id)
      expect(ended.status).toBe(status)
      expect(await cancel(id)).toMatchObject({ status: 409, body: { code: 'execution_ended', details: { status } } })
      expect((await globex.post(`/executions/${id}/cancel`)).status).toBe(404)
      expect(await acme.ended(id)).toEqual(ended)
    }
  })

  test('gives the place it had to the next', async () => {
    const { model, acme, cancel } = await office({ MAX_CONCURRENT_EXECUTIONS: '1' })
    model.hold('slow')
    const first = await begin(acme, { slow: [] })
    const second = await begin(acme, { a: [] })
    await expect.poll(() => model.calls.length).toBe(1)
    await cancel(first)
    expect((await untilStatus(acme, second, 'completed')).completedTasks).toBe(1)
  })
})
