import { describe, expect, test } from 'vitest'
import { HeldClock } from '#test/features/http/held-clock.ts'
import { added, insertCalls, readLedger, sumOfRows } from '#test/support/ledger.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

test('what a deleted execution used stays in the summary and in the cost of its DAG', async () => {
  const model = await openAiServer(() => 'ok')
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const execution = await acme.runDefinition(planOf([{ id: '1' }, { id: '2' }]))
  const before = [await acme.get('/costs/summary'), await acme.get(`/costs/dags/${execution.dagId}`)]
  expect(before[0]?.body.totals).toMatchObject({
    calls: 3,
    usage: execution.totalUsage,
    costUsdMicros: execution.costUsdMicros,
    unpricedCalls: 0,
  })
  expect(before[1]?.body.executions).toMatchObject({ count: 1, calls: 3, costUsdMicros: execution.costUsdMicros })
  expect(execution.costUsdMicros).toBeGreaterThan(0)

  expect((await acme.delete(`/executions/${execution.id}`)).status).toBe(204)

  const after = [await acme.get('/costs/summary'), await acme.get(`/costs/dags/${execution.dagId}`)]
  expect(after[0]?.body.totals).toEqual(before[0]?.body.totals)
  expect(after[1]?.body).toEqual(before[1]?.body)
})

test('a call in flight when its execution is cancelled and deleted is in the costs as soon as it has ended', async () => {
  const model = await openAiServer(() => 'hang!')
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf([{ id: '1' }]) })
  await expect.poll(() => model.calls.length).toBe(1)

  expect((await acme.post(`/executions/${started.id}/cancel`)).status).toBe(200)
  expect((await acme.delete(`/executions/${started.id}`)).status).toBe(204)

  await expect
    .poll(async () => (await acme.get(`/costs/dags/${started.dagId}`)).body.executions)
    .toMatchObject({ calls: 1, count: 1, costUsdMicros: null })
  expect((await acme.get('/costs/summary')).body.totals).toMatchObject({ calls: 1, unpricedCalls: 1 })
})

test('what planning a deleted DAG used stays in the summary', async () => {
  const model = await openAiServer(({ task }) =>
    task === 'plan' ? JSON.stringify(planOf([{ id: '1' }], { title: 'T' })) : 'ok',
  )
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: planned } = await acme.post('/dags', { goalText: 'do a thing' })
  const { body: cost } = await acme.get(`/costs/dags/${planned.dagId}`)
  expect(cost).toMatchObject({ planning: { calls: 1 }, executions: { calls: 0, count: 0, costUsdMicros: 0 } })

  expect((await acme.delete(`/dags/${planned.dagId}`)).status).toBe(204)

  const { totals } = (await acme.get('/costs/summary')).body
  expect(totals).toMatchObject({ calls: 1, costUsdMicros: cost.planning.costUsdMicros })
  expect(await acme.get(`/costs/dags/${planned.dagId}`)).toMatchObject({ status: 404, body: { code: 'dag_not_found' } })
})

test('an execution that called no model is counted among its DAG’s, and costs nothing', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const execution = await acme.runDefinition(planOf([{ id: '1', tool: 'readFile', params: { path: 'absent.md' } }]))
  expect(execution.status).toBe('failed')
  const { body: cost } = await acme.get(`/costs/dags/${execution.dagId}`)
  expect(cost).toMatchObject({
    executions: { count: 1, calls: 0, costUsdMicros: 0 },
    models: [],
    unpriced: [],
    priceVersions: [],
    totals: { grandTotalCostUsdMicros: 0 },
  })
})

test('a cost that is not known is null, and the call is named', async () => {
  const model = await openAiServer(() => 'ok')
  const api = await startApi({ env: { ...model.env, LLM_MODEL: 'my-own-model' } })
  const acme = await api.tenant('acme')
  const execution = await acme.runDefinition(planOf([{ id: '1' }]))

  const { body: cost } = await acme.get(`/costs/dags/${execution.dagId}`)
  expect(cost).toMatchObject({
    executions: { costUsdMicros: null, usage: { totalTokens: 240 } },
    totals: { planningCostUsdMicros: 0, executionCostUsdMicros: null, grandTotalCostUsdMicros: null },
    unpriced: [{ provider: 'openai', model: 'my-own-model', calls: 2 }],
  })
  const { body: summary } = await acme.get('/costs/summary?groupBy=model')
  expect(summary.groups).toEqual([{ key: 'openai/my-own-model', ...summary.totals }])
  expect(summary.totals).toMatchObject({ costUsdMicros: null, knownCostUsdMicros: 0, unpricedCalls: 2, calls: 2 })
})

describe('the range of a cost summary', () => {
  async function at(moment: string) {
    const clock = new HeldClock(moment)
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const put = (...moments: string[]) =>
      insertCalls(
        api,
        acme,
        moments.map((created_at) => ({ created_at })),
      )
    return { acme, put }
  }

  test('is the current month up to now, unless it is named', async () => {
    const { acme, put } = await at('2026-11-20T09:30:00.250Z')
    put('2026-10-31T23:59:59.999Z', '2026-11-01T00:00:00.000Z', '2026-11-20T09:30:00.250Z', '2026-11-20T09:30:00.251Z')
    const { body } = await acme.get('/costs/summary')
    expect(body).toMatchObject({
      from: '2026-11-01T00:00:00.000Z',
      before: '2026-11-20T09:30:00.251Z',
      groupBy: 'day',
      totals: { calls: 2 },
    })
    expect(body.groups.map(({ key }: { key: string }) => key)).toEqual(['2026-11-01', '2026-11-20'])
  })

  test('holds its first moment and not its last, in whatever time zone they are named', async () => {
    const { acme, put } = await at('2026-11-20T09:30:00.000Z')
    put('2026-11-09T22:59:59.999Z', '2026-11-09T23:00:00.000Z', '2026-11-10T22:59:59.999Z', '2026-11-10T23:00:00.000Z')
    const zone = encodeURIComponent('+01:00')
    const { body } = await acme.get(`/costs/summary?from=2026-11-10T00:00:00${zone}&before=2026-11-11T00:00:00${zone}`)
    expect(body.totals.calls).toBe(2)
    expect(body).toMatchObject({ from: '2026-11-09T23:00:00.000Z', before: '2026-11-10T23:00:00.000Z' })
  })

  test('is grouped by weeks that begin on Monday, across the end of a year', async () => {
    const { acme, put } = await at('2027-01-20T00:00:00.000Z')
    put('2027-01-04T00:00:00.000Z', '2027-01-03T23:59:59.999Z', '2026-12-28T00:00:00.000Z', '2026-12-27T12:00:00.000Z')
    const { body } = await acme.get('/costs/summary?groupBy=week&from=2026-12-01T00:00:00Z')
    expect(body.groups.map(({ key, calls }: { key: string; calls: number }) => [key, calls])).toEqual([
      ['2026-W52', 1],
      ['2026-W53', 2],
      ['2027-W01', 1],
    ])
  })

  test('that says only when it ends begins with the month it ends in', async () => {
    const { acme } = await at('2026-11-20T09:30:00.000Z')
    const { body } = await acme.get('/costs/summary?before=2026-10-01T00:00:00Z')
    expect([body.from, body.before]).toEqual(['2026-09-01T00:00:00.000Z', '2026-10-01T00:00:00.000Z'])
    expect((await acme.get('/costs/summary?before=2026-10-01T00:00:01Z')).body.from).toBe('2026-10-01T00:00:00.000Z')
  })

  test('is at most 366 days, and not empty', async () => {
    const { acme } = await at('2026-11-20T09:30:00.000Z')
    const get = (query: string) => acme.get(`/costs/summary?${query}`)
    const refused = { status: 400, body: { code: 'validation_failed', details: [{ path: 'from' }] } }
    expect((await get('from=2024-01-01T00:00:00Z&before=2025-01-01T00:00:00Z')).status).toBe(200)
    expect(await get('from=2024-01-01T00:00:00Z&before=2025-01-01T00:00:00.001Z')).toMatchObject(refused)
    expect(await get('from=2026-11-02T00:00:00Z&before=2026-11-02T00:00:00Z')).toMatchObject(refused)
    expect(await get('from=2026-11-21T00:00:00Z')).toMatchObject(refused)
    expect((await get('groupBy=hour')).status).toBe(400)
    expect((await get('form=2026-11-02T00:00:00Z')).status).toBe(400)
  })
})

describe('groups that are no times', () => {
  test('come dearest first, those that cost the same by name, calls without one last', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const created_at = new Date().toISOString()
    insertCalls(api, acme, [
      { created_at, agent_name: 'b', cost_usd_micros: 5 },
      { created_at, agent_name: null, cost_usd_micros: 5 },
      { created_at, agent_name: 'a', cost_usd_micros: 5 },
      { created_at, agent_name: 'dear', cost_usd_micros: 9 },
      { created_at, agent_name: 'unknown', cost_usd_micros: null },
    ])
    const { body } = await acme.get('/costs/summary?groupBy=agent')
    expect(body.groups.map(({ key }: { key: string | null }) => key)).toEqual(['dear', 'a', 'b', null, 'unknown'])
  })

  test('beyond the 499 dearest are one, so that all still add up to the totals', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const created_at = new Date().toISOString()
    const users = Array.from({ length: 503 }, (_, cost_usd_micros) => ({
      created_at,
      cost_usd_micros,
      user_id: crypto.randomUUID(),
    }))
    insertCalls(api, acme, [...users, { created_at, cost_usd_micros: null, user_id: users[1]?.user_id ?? null }])

    const { body } = await acme.get('/costs/summary?groupBy=user')
    expect(body.groups.length).toBe(500)
    expect(body.groups[0].knownCostUsdMicros).toBe(502)
    expect(body.groups.at(-1)).toEqual({
      key: '(other)', // those that cost 0, 1 (and one call nobody knows the cost of), 2 and 3
      calls: 5,
      usage: { promptTokens: 50, completionTokens: 25, totalTokens: 75, cachedTokens: 10 },
      costUsdMicros: null,
      knownCostUsdMicros: 6,
      unpricedCalls: 1,
    })
    expect(added(body.groups)).toEqual(body.totals)
    expect(body.totals).toEqual(sumOfRows(readLedger(api, acme)))
  })
})

test('one tenant cannot reach another tenant’s costs', async () => {
  const api = await startApi()
  const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
  const execution = await acme.run('Count the words of this text: "one two three"')
  expect((await acme.get('/costs/summary')).body.totals.calls).toBeGreaterThan(0)
  expect((await globex.get('/costs/summary')).body).toMatchObject({ totals: { calls: 0 }, groups: [] })
  const stolen = await globex.get(`/costs/dags/${execution.dagId}`)
  const random = await globex.get(`/costs/dags/${crypto.randomUUID()}`)
  expect([stolen.status, stolen.body.code]).toEqual([404, 'dag_not_found'])
  expect(stolen.body.message).toBe(random.body.message)
})
