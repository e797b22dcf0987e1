import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { HeldClock } from '#test/features/http/held-clock.ts'
import type { Answer, Client } from '#test/support/client.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const WRITE = planOf([{ id: '001', tool: 'writeFile', params: { path: 'a.md', content: 'a' } }])
const execute = (client: Client, definition: object = WRITE) => client.post('/dags/execute-definition', { definition })
const times = (count: number, work: (index: number) => Promise<Answer>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)))
const withStatus = (answers: readonly Answer[], status: number) => answers.filter((answer) => answer.status === status)

/** A model that answers when it is let. */
function gate() {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

async function withModel(script: (call: ModelCall) => Reply | Promise<Reply>, overrides = {}) {
  const model = await openAiServer(script)
  return { model, api: await startApi({ env: model.env, overrides }) }
}

describe('maxAgents', () => {
  test('of 200 agents made at once exactly as many are made as there is room for', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxAgents: 54 } })
    const seeded = (await acme.get('/agents?includeTotal=true')).body.pagination.total
    const room = 54 - seeded

    const answers = await times(200, (i) => acme.post('/agents', { name: 'a', version: `${i}`, systemPrompt: 'x' }))

    expect(room).toBe(50)
    expect(withStatus(answers, 201)).toHaveLength(room)
    const refused = withStatus(answers, 403)
    expect(refused).toHaveLength(150)
    for (const { body } of refused) {
      expect(body).toMatchObject({ code: 'quota_exceeded', details: { quota: 'maxAgents', limit: 54, used: 54 } })
    }
    expect((await acme.get('/agents?includeTotal=true')).body.pagination.total).toBe(54)
  })

  test('a deleted agent makes room', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxAgents: 5 } })
    const agent = (version: string) => acme.post('/agents', { name: 'a', version, systemPrompt: 'x' })
    const { body: first } = await agent('1')
    expect((await agent('2')).status).toBe(403)
    await acme.delete(`/agents/${first.id}`)
    expect((await agent('2')).status).toBe(201)
  })
})

describe('maxExecutionsPerMonth', () => {
  test('of 200 executions begun at once exactly as many begin as there is room for', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxExecutionsPerMonth: 50 } })

    const answers = await times(200, () => execute(acme))

    expect(withStatus(answers, 202)).toHaveLength(50)
    const refused = withStatus(answers, 403)
    expect(refused).toHaveLength(150)
    for (const { body } of refused) {
      expect(body.details).toEqual({ quota: 'maxExecutionsPerMonth', limit: 50, used: 50 })
    }
    for (const { body } of withStatus(answers, 202)) expect((await acme.ended(body.id)).status).toBe('completed')
    const kept = await Promise.all(['/executions', '/dags'].map((path) => acme.get(`${path}?includeTotal=true`)))
    expect(kept.map(({ body }) => body.pagination.total)).toEqual([50, 50]) // a refused one leaves no DAG behind
    const due = () => api.api.stores.control.selectFrom('due_work').select('kind').execute()
    await expect.poll(due).toEqual([{ kind: 'invoice' }])
  })

  test('deleting executions gives nothing back, a new month does', async () => {
    const clock = new HeldClock('2026-03-31T23:59:00.000Z')
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme', { quotas: { maxExecutionsPerMonth: 2 } })
    for (const _ of [1, 2]) {
      const { id } = await acme.runDefinition(WRITE)
      expect((await acme.delete(`/executions/${id}`)).status).toBe(204)
    }
    expect((await acme.get('/executions?includeTotal=true')).body.pagination.total).toBe(0)
    expect((await execute(acme)).body).toMatchObject({ code: 'quota_exceeded', details: { limit: 2, used: 2 } })

    clock.pass(59_999)
    expect((await execute(acme)).status).toBe(403)
    clock.pass(1)
    expect((await execute(acme)).status).toBe(202)
  })

  test('an execution that could not begin counts nothing', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxExecutionsPerMonth: 1 } })
    const { status } = await execute(acme, planOf([{ id: '001', tool: 'no-such-tool' }]))
    expect(status).toBe(422)
    expect((await execute(acme)).status).toBe(202)
  })
})

describe('maxConcurrentExecutions', () => {
  const ASK = planOf([{ id: '001', prompt: 'slow' }])

  test('no more run at once than there is room for; the next begins when one has ended', async () => {
    const { opened, open } = gate()
    const { api } = await withModel(() => opened.then(() => 'done'))
    const acme = await api.tenant('acme', { quotas: { maxConcurrentExecutions: 3 } })

    const answers = await times(20, () => execute(acme, ASK))

    const begun = withStatus(answers, 202)
    expect(begun).toHaveLength(3)
    for (const { body } of withStatus(answers, 403)) {
      expect(body.details).toEqual({ quota: 'maxConcurrentExecutions', limit: 3, used: 3 })
    }
    open()
    for (const { body } of begun) expect((await acme.ended(body.id)).status).toBe('completed')
    expect((await execute(acme, ASK)).status).toBe(202)
  })

  test('a cancelled one makes room', async () => {
    const { api } = await withModel(() => 'hang!')
    const acme = await api.tenant('acme', { quotas: { maxConcurrentExecutions: 1 } })
    const { body: first } = await execute(acme, ASK)
    expect((await execute(acme, ASK)).status).toBe(403)
    await acme.post(`/executions/${first.id}/cancel`)
    expect((await execute(acme, ASK)).status).toBe(202)
  })

  test('a suspended one makes room, and is resumed only when there is room for it again', async () => {
    let isRefused = true
    const { api } = await withModel(({ messages }) => {
      if (messages[0] === 'slow') return 'hang!'
      return isRefused ? { status: 401 } : 'done'
    })
    const acme = await api.tenant('acme', { quotas: { maxConcurrentExecutions: 1 } })
    const suspended = await acme.runDefinition(planOf([{ id: '001', prompt: 'quick' }]))
    expect(suspended.status).toBe('suspended')
    isRefused = false
    const { body: running } = await execute(acme, ASK)

    const refused = await acme.post(`/executions/${suspended.id}/resume`)
    expect(refused.body).toMatchObject({ code: 'quota_exceeded', details: { limit: 1, used: 1 } })
    const { body: untouched } = await acme.get(`/executions/${suspended.id}`)
    expect(untouched).toMatchObject({ status: 'suspended', retryCount: 0 })

    await acme.post(`/executions/${running.id}/cancel`)
    expect((await acme.post(`/executions/${suspended.id}/resume`)).status).toBe(202)
    expect((await acme.ended(suspended.id)).status).toBe('completed')
  })
})

describe('maxTokensPerMonth', () => {
  const CHAIN = planOf([
    { id: '001', prompt: 'first' },
    { id: '002', prompt: 'second', dependencies: ['001'] },
  ])

  test('when it is used up no model is called: the execution is suspended and goes on when there is more', async () => {
    const { model, api } = await withModel(() => 'done') // 120 tokens a call
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 520 } })

    const suspended = await acme.runDefinition(CHAIN)

    expect(suspended).toMatchObject({ status: 'suspended', completedTasks: 1, failedTasks: 0 })
    expect(suspended.suspendedReason).toMatch(/^quota_exceeded: /)
    expect(suspended.subSteps[1]).toMatchObject({ status: 'pending', error: { code: 'quota_exceeded' } })
    expect(model.calls).toHaveLength(1)

    await acme.post(`/executions/${suspended.id}/resume`)
    expect((await acme.ended(suspended.id)).status).toBe('suspended')
    expect(model.calls).toHaveLength(1)

    const raised = await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, {
      quotas: { maxTokensPerMonth: 1_000 },
    })
    expect(raised.status).toBe(200)
    await acme.post(`/executions/${suspended.id}/resume`)
    expect(await acme.ended(suspended.id)).toMatchObject({ status: 'completed', completedTasks: 2 })
    expect(model.calls.map(({ messages }) => messages[0]).slice(0, 2)).toEqual(['first', 'second'])
  })

  test('when it is used up nothing is planned', async () => {
    const { model, api } = await withModel(() => 'done')
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 0 } })
    for (const path of ['/dags', '/create-execute']) {
      const { status, body } = await acme.post(path, { goalText: 'Summarise the news' })
      expect({ status, ...body }).toMatchObject({
        status: 403,
        code: 'quota_exceeded',
        details: { quota: 'maxTokensPerMonth', limit: 0, used: 0 },
      })
    }
    expect(model.calls).toEqual([])
  })
})

describe('a change made while somebody waits for the tenant’s lock', () => {
  /** Whoever locks the tenant finds it changed: the change was committed between their first look and the lock. */
  async function changedAtTheLock(api: TestApi, tenantId: string, change: 'quotas' | 'status', to: string) {
    await api.api.stores.homes.use(tenantId, (db) =>
      sql
        .raw(`create trigger changed before update of updated_at on tenant when old.${change} <> '${to}'
          begin update tenant set ${change} = '${to}'; end`)
        .execute(db),
    )
  }
  const AMPLE = { maxAgents: 100, maxExecutionsPerMonth: 100, maxConcurrentExecutions: 100, maxTokensPerMonth: 1e6 }
  const agent = (client: Client) => client.post('/agents', { name: 'a', version: '1', systemPrompt: 'x' })

  for (const [quota, ask] of [
    ['maxAgents', agent],
    ['maxExecutionsPerMonth', execute],
    ['maxConcurrentExecutions', execute],
  ] as const) {
    test(`counts: ${quota} is lowered`, async () => {
      const api = await startApi()
      const acme = await api.tenant('acme', { quotas: AMPLE })
      await changedAtTheLock(api, acme.tenantId, 'quotas', JSON.stringify({ ...AMPLE, [quota]: 0 }))
      const { status, body } = await ask(acme)
      expect({ status, ...body }).toMatchObject({ status: 403, code: 'quota_exceeded', details: { quota, limit: 0 } })
    })

    test(`counts: ${quota} is lifted`, async () => {
      const api = await startApi()
      const acme = await api.tenant('acme', { quotas: { ...AMPLE, [quota]: 0 } })
      await changedAtTheLock(api, acme.tenantId, 'quotas', JSON.stringify({ ...AMPLE, [quota]: null }))
      expect((await ask(acme)).status).toBeLessThan(300)
    })
  }

  test('counts: the tenant is suspended', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: AMPLE })
    await changedAtTheLock(api, acme.tenantId, 'status', 'suspended')
    expect((await agent(acme)).body.code).toBe('tenant_suspended')
  })

  test('counts: maxTokensPerMonth is lowered', async () => {
    const { model, api } = await withModel(() => 'done')
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 1e6 } })
    await changedAtTheLock(api, acme.tenantId, 'quotas', '{"maxTokensPerMonth":0}')
    expect((await acme.runDefinition(planOf([{ id: '1' }]))).suspendedReason).toMatch(/^quota_exceeded: /)
    expect(model.calls).toEqual([])
  })
})

test('the quotas are told with what is taken of each', async () => {
  const { api } = await withModel(() => 'done')
  const acme = await api.tenant('acme', { plan: 'free', quotas: { maxAgents: null } })
  await acme.runDefinition(planOf([{ id: '001', prompt: 'x' }]))
  const { body } = await acme.get('/billing/usage')
  expect(body.quotas).toEqual([
    { quota: 'maxUsers', limit: 3, used: 1 },
    { quota: 'maxAgents', limit: null, used: 4 },
    { quota: 'maxExecutionsPerMonth', limit: 500, used: 1 },
    { quota: 'maxTokensPerMonth', limit: 2_000_000, used: 240 },
    { quota: 'maxConcurrentExecutions', limit: 5, used: 0 },
  ])
})

test('one tenant’s quota is not used up by another tenant’s work', async () => {
  const api = await startApi()
  const quotas = { maxExecutionsPerMonth: 1 }
  const [acme, globex] = await Promise.all([api.tenant('acme', { quotas }), api.tenant('globex', { quotas })])
  expect((await execute(acme)).status).toBe(202)
  expect((await execute(acme)).status).toBe(403)
  expect((await execute(globex)).status).toBe(202)
})
