import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const GOAL = 'Write about the sea'
const GOOD = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))
const LONG = JSON.stringify(planOf([{ id: '001' }, { id: '002' }, { id: '003' }], { title: 'Long' }))
const INVALID = 'no plan at all'

/** An API whose planner answers as `script` says. */
async function withPlanner(script: (call: ModelCall) => Reply | Promise<Reply>) {
  const model = await openAiServer(script)
  const api = await startApi({ env: model.env })
  return { model, api, acme: await api.tenant('acme') }
}

const started = async (client: Client, more: object = {}, headers: Record<string, string> = {}) =>
  client.post('/dags/experiments', { goalText: GOAL, models: ['gpt-4o-mini'], temperatures: [0], ...more }, headers)

/** Asks again and again until the experiment is as wanted. */
async function until(client: Client, id: string, isWanted: (body: Experiment) => boolean): Promise<Experiment> {
  for (;;) {
    const { status, body } = await client.get<Experiment>(`/dags/experiments/${id}`)
    expect(status).toBe(200)
    if (isWanted(body)) return body
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
const completed = (client: Client, id: string) => until(client, id, ({ status }) => status === 'completed')

interface Experiment {
  id: string
  status: string
  totalTrials: number
  endedTrials: number
  completedAt: string | null
  trials: {
    rank: number | null
    model: string
    temperature: number
    status: string
    dagId: string | null
    error: { code: string } | null
    taskCount: number | null
    usage: { totalTokens: number }
    costUsdMicros: number | null
    durationMs: number | null
  }[]
}

const modelOf = (call: ModelCall) => call.body.model as string
const due = (api: TestApi) =>
  api.api.stores.control.selectFrom('due_work').select('subject_id').where('kind', '=', 'experiment').execute()

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

test('no more than four trials are planned at once, and each trial once', async () => {
  let inFlight = 0
  let most = 0
  const { model, acme } = await withPlanner(async () => {
    inFlight += 1
    most = Math.max(most, inFlight)
    await new Promise((resolve) => setTimeout(resolve, 20))
    inFlight -= 1
    return GOOD
  })

  const { body } = await started(acme, { temperatures: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] })

  expect((await completed(acme, body.id)).endedTrials).toBe(10)
  expect(most).toBe(4)
  expect(new Set(model.calls.map(({ body }) => body.temperature)).size).toBe(10)
  expect(model.calls.length).toBe(10)
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

test('a trial for which nothing is left of the quota fails with that code; the plans there are stay', async () => {
  const model = await openAiServer(() => GOOD)
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme', { plan: 'free', quotas: { maxTokensPerMonth: 300 } }) // a plan takes 120
  const { body } = await started(acme, { temperatures: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7] })

  const { trials } = await completed(acme, body.id)

  const refused = trials.filter(({ status }) => status === 'failed')
  expect(refused.length).toBeGreaterThanOrEqual(2) // six fit at most: four begin at once, two more while less than 300 is used
  expect(new Set(refused.map(({ error }) => error?.code))).toEqual(new Set(['quota_exceeded']))
  expect(trials.filter(({ status }) => status === 'success').length).toBe(8 - refused.length)
  expect(model.calls.length).toBe(8 - refused.length)
  const more = await started(acme)
  expect(more).toMatchObject({ status: 403, body: { code: 'quota_exceeded' } })
  expect((await acme.get('/dags/experiments')).body.data.length).toBe(1)
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

test('a server that goes down begins no trial more; the next one plans what waits, and nothing twice', async () => {
  let asked = 0
  const model = await openAiServer(() => {
    asked += 1
    return asked > 4 && asked <= 8 ? 'hang!' : GOOD
  })
  const first = await startApi({ env: model.env })
  const acme = await first.tenant('acme')
  const { body } = await started(acme, { temperatures: [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] })
  await until(acme, body.id, ({ endedTrials }) => endedTrials === 4 && asked === 8)

  await first.close() // aborts the four that hang

  expect(asked).toBe(8)
  const second = await startApi({ env: model.env, dataDir: first.dataDir })
  const again = second.client(acme.key)
  const { trials } = await completed(again, body.id)
  expect(trials.filter(({ status }) => status === 'success').length).toBe(6)
  const interrupted = trials.filter(({ status }) => status === 'failed')
  expect(interrupted.map(({ error, costUsdMicros }) => [error?.code, costUsdMicros])).toEqual(
    Array(4).fill(['interrupted', null]),
  )
  for (const { dagId } of interrupted) {
    expect((await again.get(`/dags/${dagId}`)).body).toMatchObject({ status: 'failed', error: { code: 'interrupted' } })
  }
  expect(new Set(model.calls.map(({ body }) => body.temperature)).size).toBe(10)
  expect(model.calls.length).toBe(10)
  expect((await again.get('/dags?includeTotal=true')).body.pagination.total).toBe(10)
  expect(await due(second)).toEqual([])
})

test('after a crash what was being planned is interrupted, what had its end keeps it, and what waited is planned', async () => {
  const model = await openAiServer(() => GOOD)
  const first = await startApi({ env: model.env })
  const acme = await first.tenant('acme')
  const { body } = await started(acme, { temperatures: [0, 0.1, 0.2, 0.3, 0.4] })
  const before = await completed(acme, body.id)
  const dagOf = (temperature: number) => before.trials.find((trial) => trial.temperature === temperature)?.dagId ?? ''
  await first.close()
  leaveBehind(first.dataDir, acme.tenantId, body.id, [dagOf(0), dagOf(0.1), dagOf(0.2)])

  const second = await startApi({ env: model.env, dataDir: first.dataDir })
  const again = second.client(acme.key)
  const { trials } = await completed(again, body.id)

  const at = (temperature: number) => trials.find((trial) => trial.temperature === temperature)
  expect(at(0)).toMatchObject({ status: 'failed', dagId: dagOf(0), error: { code: 'interrupted' } })
  expect(at(0)).toMatchObject({ costUsdMicros: null, durationMs: null, taskCount: null })
  expect(at(0.1)).toMatchObject({ status: 'success', dagId: dagOf(0.1), taskCount: 1, error: null })
  expect(at(0.2)).toMatchObject({ status: 'failed', dagId: null, error: { code: 'interrupted' } })
  expect({ ...at(0.3), rank: 0 }).toEqual({ ...before.trials.find(({ temperature }) => temperature === 0.3), rank: 0 })
  expect(at(0.4)?.status).toBe('success')
  expect(at(0.4)?.dagId).not.toBe(dagOf(0.4))
  expect(model.calls.map(({ body }) => body.temperature)).toEqual([
    ...model.calls.slice(0, 5).map(({ body }) => body.temperature),
    0.4,
  ])
  expect((await again.get(`/dags/${dagOf(0)}`)).body).toMatchObject({
    status: 'failed',
    error: { code: 'interrupted' },
  })
  expect(await due(second)).toEqual([])
})

/** The rows as a process leaves them that is killed: in the first trial planning goes on, the second one's DAG has just ended, the third one's was not written yet, the fifth waits. */
function leaveBehind(dataDir: string, tenantId: string, id: string, [planning, ended, unwritten]: string[]): void {
  const tenant = new Database(`${dataDir}/tenants/${tenantId}/agent.db`)
  tenant.prepare("update experiments set status = 'running', completed_at = null where id = ?").run(id)
  const trial = tenant.prepare(
    `update experiment_trials set status = ?, dag_id = ?, error = null, task_count = null, prompt_tokens = 0,
     completion_tokens = 0, cost_usd_micros = null, duration_ms = null where experiment_id = ? and position = ?`,
  )
  trial.run('running', planning, id, 1)
  trial.run('running', ended, id, 2)
  trial.run('running', unwritten, id, 3)
  trial.run('pending', null, id, 5)
  tenant.prepare("update dags set status = 'planning', plan = null where id = ?").run(planning)
  tenant.prepare('delete from dags where id = ?').run(unwritten)
  tenant.close()
  const control = new Database(`${dataDir}/admin.db`)
  const due = control.prepare('insert into due_work (tenant_id, kind, subject_id, due_at) values (?, ?, ?, ?)')
  due.run(tenantId, 'experiment', id, '2026-01-01T00:00:00.000Z')
  due.run(tenantId, 'planning', planning, '2026-01-01T00:00:01.000Z')
  due.run(tenantId, 'experiment', crypto.randomUUID(), '2026-01-01T00:00:00.000Z') // announced, never written
  control.close()
}
