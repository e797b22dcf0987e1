import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import type { ModelCall, Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import type { TestApi } from '#test/support/start-api.ts'
import { completed, due, GOAL, GOOD, started, withPlanner } from './experimenting.ts'

const LONG = JSON.stringify(planOf([{ id: '001' }, { id: '002' }, { id: '003' }], { title: 'Long' }))
const INVALID = 'no plan at all'

const modelOf = (call: ModelCall) => call.body.model as string

test('two models at two temperatures give four DAGs, each planned by its model at its temperature', async () => {
  const { model, api, acme } = await withPlanner(() => GOOD)

  const { status, body } = await started(acme, {
    models: ['gpt-4o-mini', 'gpt-4o'], // a reasoning model is not sent a temperature
    temperatures: [0, 0.7],
    provider: 'openai',
    seed: 11,
  })

  expect(status).toBe(202)
  expect(body).toMatchObject({
    status: 'running',
    goalText: GOAL,
    agentName: null,
    provider: 'openai',
    seed: 11,
    totalTrials: 4,
    endedTrials: 0,
    createdBy: acme.userId,
    completedAt: null,
  })
  expect(body.trials.map(({ status, rank }: { status: string; rank: null }) => [status, rank])).toEqual(
    Array(4).fill(['pending', null]),
  )
  const experiment = await completed(acme, body.id)
  expect(experiment).toMatchObject({ totalTrials: 4, endedTrials: 4 })
  expect(experiment.completedAt).not.toBeNull()
  const wanted = ['gpt-4o 0', 'gpt-4o 0.7', 'gpt-4o-mini 0', 'gpt-4o-mini 0.7']
  expect(model.calls.map(({ body }) => `${body.model} ${body.temperature}`).toSorted()).toEqual(wanted)
  expect(model.calls.map(({ body }) => body.seed)).toEqual([11, 11, 11, 11])
  for (const { dagId, model, temperature, costUsdMicros } of experiment.trials) {
    const { body: dag } = await acme.get(`/dags/${dagId}`)
    expect(dag).toMatchObject({
      status: 'success',
      dagTitle: 'Good',
      goalText: GOAL,
      createdBy: acme.userId,
      params: { provider: 'openai', model, temperature, seed: 11 },
    })
    expect(costUsdMicros).toBe(dag.planning.costUsdMicros)
  }
  expect(new Set(experiment.trials.map(({ dagId }) => dagId)).size).toBe(4)
  expect(await due(api)).toEqual([])
})

test('each trial ends as its planning ends, with what it cost; the best comes first', async () => {
  const replies: Record<string, Reply> = {
    'gpt-5': LONG,
    'gpt-5-mini': GOOD,
    'gpt-5-nano': { status: 500 },
    'gpt-4o': INVALID,
    'gpt-4.1': JSON.stringify({ ...planOf([]), clarification_needed: true, clarification_query: 'Which sea?' }),
    'nobody-knows-its-price': GOOD,
  }
  const { acme } = await withPlanner((call) => replies[modelOf(call)] as Reply)

  const { body } = await started(acme, { models: Object.keys(replies) })
  const { trials } = await completed(acme, body.id)

  const of = (model: string) => trials.find((trial) => trial.model === model)
  expect(trials.map(({ rank }) => rank)).toEqual([1, 2, 3, 4, 5, 6])
  expect(trials.slice(0, 3).map(({ model }) => model)).toEqual(['gpt-5-mini', 'nobody-knows-its-price', 'gpt-5'])
  expect(of('gpt-5-mini')).toMatchObject({ status: 'success', taskCount: 1, error: null, usage: { totalTokens: 120 } })
  expect(of('gpt-5-mini')?.costUsdMicros).toBeGreaterThan(0)
  expect(of('gpt-5-mini')?.durationMs).toBeGreaterThanOrEqual(0)
  expect(of('nobody-knows-its-price')).toMatchObject({ status: 'success', costUsdMicros: null })
  expect(of('gpt-5')).toMatchObject({ status: 'success', taskCount: 3 })
  expect(of('gpt-5-nano')).toMatchObject({ status: 'failed', taskCount: null, error: { code: 'server_error' } })
  expect(of('gpt-4o')).toMatchObject({
    status: 'validation_error',
    taskCount: null,
    error: { code: 'plan_invalid' },
    usage: { totalTokens: 360 },
  })
  expect(of('gpt-4.1')).toMatchObject({ status: 'clarification_required', taskCount: null, error: null })
  for (const { dagId, status } of trials) expect((await acme.get(`/dags/${dagId}`)).body.status).toBe(status)
})

test('a DAG of a trial can be deleted; the trial keeps what it was', async () => {
  const { acme } = await withPlanner(() => GOOD)
  const { body } = await started(acme)
  const before = await completed(acme, body.id)

  expect((await acme.delete(`/dags/${before.trials[0]?.dagId}`)).status).toBe(204)

  expect(await completed(acme, body.id)).toEqual(before)
})

describe('refused before anything is written', () => {
  const nothingWritten = async (api: TestApi, acme: Client) => {
    expect((await acme.get('/dags/experiments')).body.data).toEqual([])
    expect((await acme.get('/dags')).body.data).toEqual([])
    expect(await due(api)).toEqual([])
  }

  test('more than 50 trials, a model or temperature named twice, none at all', async () => {
    const { model, api, acme } = await withPlanner(() => GOOD)
    const models = Array.from({ length: 8 }, (_, index) => `m${index}`)
    const temperatures = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    for (const wrong of [
      { models, temperatures },
      { models: ['a', 'a'] },
      { temperatures: [1, 1] },
      { temperatures: [2.1] },
      { models: [] },
      { temperatures: [] },
    ]) {
      expect((await started(acme, wrong)).status, JSON.stringify(wrong)).toBe(400)
    }
    await nothingWritten(api, acme)
    expect(model.calls).toEqual([])
  })

  test('a provider that is not configured: no other provider’s key is used', async () => {
    const { model, api, acme } = await withPlanner(() => GOOD)
    expect(await started(acme, { provider: 'anthropic' })).toMatchObject({
      status: 422,
      body: { code: 'provider_not_configured' },
    })
    await nothingWritten(api, acme)
    expect(model.calls).toEqual([])
  })

  test('an agent that does not exist', async () => {
    const { api, acme } = await withPlanner(() => GOOD)
    expect(await started(acme, { agentName: 'ghost' })).toMatchObject({
      status: 404,
      body: { code: 'agent_not_found' },
    })
    await nothingWritten(api, acme)
  })
})

test('exactly 50 trials are allowed', async () => {
  const { acme } = await withPlanner(() => GOOD)
  const models = Array.from({ length: 10 }, (_, index) => `m${index}`)
  const { status, body } = await started(acme, { models, temperatures: [0, 0.1, 0.2, 0.3, 0.4] })
  expect(status).toBe(202)
  expect((await completed(acme, body.id)).endedTrials).toBe(50)
})

test('a trial whose agent went meanwhile fails with that code; the others go on', async () => {
  let isGone = false
  const { acme, api } = await withPlanner(async (call) => {
    if (call.body.temperature === 0 && !isGone) {
      isGone = true
      const db = new Database(`${api.dataDir}/tenants/${acme.tenantId}/agent.db`)
      db.prepare("update agents set is_active = 0 where name = 'planner'").run()
      db.close()
    }
    return GOOD
  })
  const { body } = await started(acme, { temperatures: [0, 0.1, 0.2, 0.3, 0.4, 0.5] })
  const { trials } = await completed(acme, body.id)
  const late = trials.filter(({ temperature }) => temperature >= 0.4)
  expect(late.map(({ status, error, dagId, costUsdMicros }) => [status, error?.code, dagId, costUsdMicros])).toEqual([
    ['failed', 'agent_not_found', null, 0],
    ['failed', 'agent_not_found', null, 0],
  ])
  expect(trials.filter(({ status }) => status === 'success').length).toBe(4)
})

test('a repeat with the same Idempotency-Key answers with the same experiment and plans nothing again', async () => {
  const { model, acme } = await withPlanner(() => GOOD)
  const first = await started(acme, {}, { 'idempotency-key': 'once' })
  const ended = await completed(acme, first.body.id)

  const again = await started(acme, {}, { 'idempotency-key': 'once' })

  expect(again.status).toBe(202)
  expect(again.headers.get('idempotent-replayed')).toBe('true')
  expect(again.body).toEqual(ended)
  expect((await acme.get('/dags/experiments')).body.data.length).toBe(1)
  expect(model.calls.length).toBe(1)
  const other = await started(acme, { seed: 1 }, { 'idempotency-key': 'once' })
  expect(other.body.code).toBe('idempotency_key_reused')
})

test('experiments are listed newest first, by status and period, by both kinds of paging', async () => {
  let isHeld = false
  let letGo = () => {}
  const held = new Promise<void>((resolve) => {
    letGo = resolve
  })
  const { acme } = await withPlanner(async () => {
    if (isHeld) await held
    return GOOD
  })
  const ids: string[] = []
  for (let i = 0; i < 3; i += 1) {
    const { body } = await started(acme, { seed: i, temperatures: [0, 1] })
    await completed(acme, body.id)
    ids.unshift(body.id)
  }
  isHeld = true
  const { body: open } = await started(acme, { temperatures: [0, 1, 2] })
  const list = async (query: string) => (await acme.get(`/dags/experiments?${query}`)).body
  const idsOf = async (query: string) => (await list(query)).data.map(({ id }: { id: string }) => id)

  expect(await idsOf('')).toEqual([open.id, ...ids])
  expect(await idsOf('status=completed')).toEqual(ids)
  expect(await idsOf('status=running')).toEqual([open.id])
  expect((await list('status=running')).data[0]).toMatchObject({ totalTrials: 3, endedTrials: 0 })
  expect((await list('status=completed')).data[0]).toMatchObject({ totalTrials: 2, endedTrials: 2 })
  expect((await list('limit=1&status=completed&includeTotal=true')).pagination.total).toBe(3)
  expect(await idsOf('offset=2&limit=1')).toEqual([ids[1]])
  const { nextCursor } = (await list('limit=2')).pagination
  expect(await idsOf(`limit=2&cursor=${nextCursor}`)).toEqual([ids[1], ids[2]])
  const from = open.createdAt as string
  expect(await idsOf(`createdFrom=${from}`)).toEqual([open.id])
  expect(await idsOf(`createdBefore=${from}`)).toEqual(ids)
  letGo()
  await completed(acme, open.id)
})

test('one tenant cannot reach another tenant’s experiment', async () => {
  const { api, acme } = await withPlanner(() => GOOD)
  const globex = await api.tenant('globex')
  const { body } = await started(acme)
  await completed(acme, body.id)

  const stolen = await globex.get(`/dags/experiments/${body.id}`)
  const absent = await globex.get(`/dags/experiments/${crypto.randomUUID()}`)

  expect([stolen.status, stolen.body.code]).toEqual([404, 'experiment_not_found'])
  expect({ ...stolen.body, requestId: '' }).toEqual({ ...absent.body, requestId: '' })
  expect((await globex.get('/dags/experiments')).body.data).toEqual([])
})
