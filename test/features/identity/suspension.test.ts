import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { controlContext } from '#features/identity/enter.ts'
import { updateTenant } from '#features/identity/tenants/service.ts'
import type { TenantOperations } from '#kit/context.ts'
import { readConfig } from '#src/config.ts'
import { type Overrides, openStores } from '#src/node/stores.ts'
import type { Client } from '#test/support/client.ts'
import { type OpenAiServer, openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

/** The first task is answered at once, the second when the model is no longer slow, the third needs both. */
const PLAN = planOf([
  { id: '1', prompt: 'first' },
  { id: '2', prompt: 'second', dependencies: ['1'] },
  { id: '3', prompt: 'third', dependencies: ['2'] },
])

async function withSlowModel(overrides: Overrides = {}) {
  const slow = { isOn: true }
  const model = await openAiServer(({ messages }) =>
    slow.isOn && messages[0] === 'second' ? 'hang!' : { text: `answer to ${messages[0]?.slice(0, 10)}` },
  )
  const api = await startApi({ env: model.env, overrides })
  return { slow, model, api, acme: await api.tenant('acme') }
}

const callsFor = ({ calls }: OpenAiServer, prompt: string) => calls.filter(({ messages }) => messages[0] === prompt)

/** Begins to execute the plan and waits until the slow call is in flight. */
async function beginSlow(acme: Client, model: OpenAiServer): Promise<string> {
  const { body } = await acme.post('/dags/execute-definition', { definition: PLAN })
  await expect.poll(() => callsFor(model, 'second').length).toBe(1)
  return body.id
}

const suspend = (api: TestApi, tenantId: string) => api.superAdmin.post(`/admin/tenants/${tenantId}/suspend`)
const resume = (api: TestApi, tenantId: string) => api.superAdmin.post(`/admin/tenants/${tenantId}/resume`)

async function dueExecutions(api: TestApi, tenantId: string): Promise<string[]> {
  const { control } = api.api.stores
  const due = control.selectFrom('due_work').select('subject_id').where('kind', '=', 'execution')
  return (await due.where('tenant_id', '=', tenantId).execute()).map((row) => row.subject_id)
}

describe('a suspended tenant', () => {
  test('is refused at the next request of each of its keys, and let in again after it is resumed', async () => {
    const { api, acme } = await withSlowModel()
    const { body: second } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
    const clients = [acme, api.client(second.key)]

    const { status, body } = await suspend(api, acme.tenantId)
    expect([status, body.status]).toEqual([200, 'suspended'])
    for (const client of clients) {
      const answer = await client.get('/auth/me')
      expect([answer.status, answer.body.code]).toEqual([403, 'tenant_suspended'])
    }

    expect((await resume(api, acme.tenantId)).body.status).toBe('active')
    for (const client of clients) expect((await client.get('/auth/me')).status).toBe(200)
  })

  test('can be suspended and resumed twice: the answers are the same', async () => {
    const { api, acme } = await withSlowModel()
    const [first, second] = [await suspend(api, acme.tenantId), await suspend(api, acme.tenantId)]
    expect(second).toMatchObject({ status: 200, body: first.body })
    const [third, fourth] = [await resume(api, acme.tenantId), await resume(api, acme.tenantId)]
    expect(fourth).toMatchObject({ status: 200, body: third.body })
  })

  test('is the same whether it was suspended, deleted without a purge, or changed to that status', async () => {
    const { api, acme } = await withSlowModel()
    const path = `/admin/tenants/${acme.tenantId}`
    for (const stop of [
      () => api.superAdmin.delete(path),
      () => api.superAdmin.delete(`${path}?purge=false`, { 'x-confirm-purge': 'acme' }),
      () => api.superAdmin.patch(path, { status: 'suspended' }),
    ]) {
      expect(await stop()).toMatchObject({ status: 200, body: { id: acme.tenantId, status: 'suspended' } })
      expect((await acme.get('/auth/me')).status).toBe(403)
      await api.superAdmin.patch(path, { status: 'active' })
      expect((await acme.get('/auth/me')).status).toBe(200)
    }
  })

  test('keeps everything it has', async () => {
    const { api, acme } = await withSlowModel()
    const { body: agent } = await acme.post('/agents', { name: 'writer', version: '1', systemPrompt: 'Write.' })
    await suspend(api, acme.tenantId)
    await resume(api, acme.tenantId)
    expect((await acme.get(`/agents/${agent.id}`)).body).toEqual(agent)
  })

  test('of which only control knew, because the process died, is stopped by repeating it', async () => {
    const { api, acme, model } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    const { control } = api.api.stores
    await control.updateTable('tenants').set({ status: 'suspended' }).where('id', '=', acme.tenantId).execute()
    expect((await acme.get('/auth/me')).status).toBe(200)

    await suspend(api, acme.tenantId)

    expect((await acme.get('/auth/me')).status).toBe(403)
    await resume(api, acme.tenantId)
    expect((await acme.get(`/executions/${executionId}`)).body.status).toBe('suspended')
  })
})

/** Changes its status as a process does that dies when it is about to ask this of the tenant's own database. */
async function dieAt(api: TestApi, tenantId: string, operation: string, status: 'active' | 'suspended') {
  const { control, tenants, now } = api.api.stores
  const dying: TenantOperations = {
    ...tenants,
    async run(id, name, input) {
      if (name === operation) throw new Error('the process died')
      return name === 'stopWork' ? null : tenants.run(id, name, input)
    },
  }
  const change = updateTenant(controlContext('dying', control, dying, now), tenantId, { status })
  await expect(change).rejects.toThrow('the process died')
}

async function unfinishedChanges(api: TestApi): Promise<number> {
  const { control } = api.api.stores
  return (await control.selectFrom('due_work').selectAll().where('kind', '=', 'tenant_record').execute()).length
}

describe('a suspension that only control knows of, because the process died', () => {
  test.each(['setTenantRecord', 'stopWork'])('before %s is finished by a later tick', async (operation) => {
    const clock = new HeldClock()
    const { api, acme, model } = await withSlowModel({ now: clock.now })
    const executionId = await beginSlow(acme, model)
    await dieAt(api, acme.tenantId, operation, 'suspended')

    await api.api.tick()
    expect(await unfinishedChanges(api)).toBe(1) // so young a change may be under way
    clock.pass(30_000)
    await api.api.tick()

    expect(await acme.get('/auth/me')).toMatchObject({ status: 403, body: { code: 'tenant_suspended' } })
    expect([await unfinishedChanges(api), await dueExecutions(api, acme.tenantId)]).toEqual([0, []])
    await resume(api, acme.tenantId)
    expect((await acme.get(`/executions/${executionId}`)).body.status).toBe('suspended')
  })

  test('is finished by the next start, before any work goes on', async () => {
    const { api, acme, model } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    await api.api.drain(0) // in the middle of the call: the execution is still due
    await dieAt(api, acme.tenantId, 'setTenantRecord', 'suspended')
    await api.close()
    const before = model.calls.length

    const again = await startApi({ dataDir: api.dataDir, env: model.env })

    expect((await again.client(acme.key).get('/auth/me')).status).toBe(403)
    expect([await unfinishedChanges(again), await dueExecutions(again, acme.tenantId)]).toEqual([0, []])
    await resume(again, acme.tenantId)
    const told = (await again.client(acme.key).events(executionId)).map(({ event }) => event)
    expect([told.at(-1), told.includes('execution:resumed')]).toEqual(['execution:suspended', false])
    expect(model.calls.length).toBe(before)
  })

  test('and was taken back meanwhile leaves the tenant open', async () => {
    const clock = new HeldClock()
    const { api, acme } = await withSlowModel({ now: clock.now })
    await dieAt(api, acme.tenantId, 'stopWork', 'suspended')
    expect((await acme.get('/auth/me')).status).toBe(403)
    await dieAt(api, acme.tenantId, 'setTenantRecord', 'active')
    expect(await unfinishedChanges(api)).toBe(2)
    clock.pass(30_000)
    await api.api.tick()
    expect((await acme.get('/auth/me')).status).toBe(200)
    expect(await unfinishedChanges(api)).toBe(0)
  })

  test('is forgotten with a tenant that is purged or half-purged', async () => {
    const clock = new HeldClock()
    const { api, acme } = await withSlowModel({ now: clock.now })
    const globex = await api.tenant('globex')
    for (const { tenantId } of [acme, globex]) await dieAt(api, tenantId, 'setTenantRecord', 'suspended')
    await api.superAdmin.delete(`/admin/tenants/${acme.tenantId}?purge=true`, { 'x-confirm-purge': 'acme' })
    expect(await unfinishedChanges(api)).toBe(1)
    await api.api.stores.homes.remove(globex.tenantId)
    clock.pass(30_000)
    await api.api.tick()
    expect(await unfinishedChanges(api)).toBe(0)
  })
})

describe('executions of a tenant that is suspended', () => {
  test('are suspended in the middle of a call, their streams end and say why, and nothing is due any more', async () => {
    const { api, acme, model } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    const stream = acme.events(executionId)
    expect(await dueExecutions(api, acme.tenantId)).toEqual([executionId])

    await suspend(api, acme.tenantId)

    const last = (await stream).at(-1)
    expect(last).toMatchObject({
      event: 'execution:suspended',
      data: { error: { code: 'tenant_suspended', message: expect.any(String) } },
    })
    expect(await dueExecutions(api, acme.tenantId)).toEqual([])
  })

  test('stay suspended when the tenant is resumed, and complete without repeating a step once they are', async () => {
    const { api, acme, model, slow } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    await suspend(api, acme.tenantId)
    await resume(api, acme.tenantId)

    const { body: resting } = await acme.get(`/executions/${executionId}/details`)
    expect(resting).toMatchObject({
      status: 'suspended',
      suspendedReason: expect.stringMatching(/^tenant_suspended: ./),
      suspendedAt: expect.any(String),
      completedTasks: 1,
      failedTasks: 0,
    })
    expect(resting.subSteps.map(({ status }: { status: string }) => status)).toEqual([
      'completed',
      'pending',
      'pending',
    ])

    slow.isOn = false
    expect((await acme.post(`/executions/${executionId}/resume`)).status).toBe(202)
    const ended = await acme.ended(executionId)

    expect(ended).toMatchObject({ status: 'completed', completedTasks: 3, suspendedReason: null, suspendedAt: null })
    expect(callsFor(model, 'first').length).toBe(1)
    expect(callsFor(model, 'second').length).toBe(2)
  })

  test('keep the call that was aborted in the ledger, and in their own totals', async () => {
    const { api, acme, model } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    await suspend(api, acme.tenantId)
    const ledger = () =>
      api.api.stores.homes.use(acme.tenantId, (db) =>
        db
          .selectFrom('model_calls')
          .select(['error_code', 'prompt_tokens', 'sub_step_id', 'cost_usd_micros'])
          .where('execution_id', '=', executionId)
          .orderBy('created_at')
          .execute(),
      )
    await expect.poll(async () => (await ledger()).length).toBe(2)
    const [first, aborted] = await ledger()
    expect(first).toMatchObject({ error_code: null, prompt_tokens: 100 })
    expect(aborted).toMatchObject({ error_code: 'aborted', sub_step_id: expect.any(String), cost_usd_micros: null })

    await resume(api, acme.tenantId)
    const { body } = await acme.get(`/executions/${executionId}`)
    expect(body.totalUsage.promptTokens).toBe(100)
    expect(body.costUsdMicros).toBeNull() // the provider never said what the aborted call cost
  })

  test('are all suspended, however many wait for their turn', async () => {
    const model = await openAiServer(() => 'hang!')
    const api = await startApi({ env: { ...model.env, MAX_CONCURRENT_EXECUTIONS: '3' } })
    const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
    const begin = (client: Client) => client.post('/dags/execute-definition', { definition: PLAN })
    const { body: other } = await begin(globex)
    for (let i = 0; i < 120; i += 1) expect((await begin(acme)).status).toBe(202)
    await expect.poll(() => model.calls.length).toBe(3)

    await suspend(api, acme.tenantId)

    expect(await dueExecutions(api, acme.tenantId)).toEqual([])
    await resume(api, acme.tenantId)
    const { body } = await acme.get('/executions?status=suspended&limit=1&includeTotal=true')
    expect(body.pagination.total).toBe(120)
    expect((await acme.events(body.data[0].id)).at(-1)?.event).toBe('execution:suspended')
    // One tenant's suspension does not reach another tenant's executions.
    expect((await globex.get(`/executions/${other.id}`)).body.status).toBe('running')
    expect(await dueExecutions(api, globex.tenantId)).toEqual([other.id])
  })

  test('are all suspended, also when another process has ended one of them meanwhile', async () => {
    const model = await openAiServer(() => 'hang!')
    const api = await startApi({ env: { ...model.env, MAX_CONCURRENT_EXECUTIONS: '3' } })
    const acme = await api.tenant('acme')
    for (let i = 0; i < 60; i += 1) await acme.post('/dags/execute-definition', { definition: PLAN })
    await expect.poll(() => model.calls.length).toBe(3)
    await api.api.stores.homes.use(acme.tenantId, async (db) => {
      await sql`create table ended_elsewhere (id text)`.execute(db)
      await sql`create trigger end_elsewhere before update on executions
        when new.status = 'suspended' and not exists (select 1 from ended_elsewhere)
        begin
          insert into ended_elsewhere values (old.id);
          update executions set status = 'failed' where id = old.id;
          select raise(ignore);
        end`.execute(db)
    })

    await suspend(api, acme.tenantId)

    const statuses = await api.api.stores.homes.use(acme.tenantId, (db) =>
      db
        .selectFrom('executions')
        .select((eb) => ['status', eb.fn.countAll<number>().as('count')])
        .groupBy('status')
        .orderBy('status')
        .execute(),
    )
    expect(statuses).toEqual([
      { status: 'failed', count: 1 },
      { status: 'suspended', count: 59 },
    ])
  })

  test('that have come to rest are left as they are', async () => {
    const { api, acme, slow, model } = await withSlowModel()
    const cancelled = await beginSlow(acme, model)
    await acme.post(`/executions/${cancelled}/cancel`)
    slow.isOn = false
    const completed = await acme.runDefinition(PLAN)
    const before = await acme.get('/executions')
    await suspend(api, acme.tenantId)
    await resume(api, acme.tenantId)
    expect((await acme.get('/executions')).body).toEqual(before.body)
    expect((await acme.get(`/executions/${completed.id}`)).body.status).toBe('completed')
  })

  test('are counted as active until then', async () => {
    const { api, acme, model } = await withSlowModel()
    await beginSlow(acme, model)
    const figures = async () => (await api.superAdmin.get(`/admin/tenants/${acme.tenantId}`)).body.figures
    expect(await figures()).toMatchObject({ activeExecutions: 1, executionsThisMonth: 1, tokensThisMonth: 120 })
    await suspend(api, acme.tenantId)
    expect(await figures()).toMatchObject({ activeExecutions: 0, executionsThisMonth: 1 })
  })

  test('that a late request left behind are not begun by resuming the tenant', async () => {
    const { api, acme, model } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    await suspend(api, acme.tenantId)
    await api.api.stores.homes.use(acme.tenantId, (db) =>
      db.updateTable('executions').set({ status: 'pending' }).where('id', '=', executionId).execute(),
    )
    await resume(api, acme.tenantId)
    expect((await acme.get(`/executions/${executionId}`)).body.status).toBe('suspended')
    expect((await acme.events(executionId)).filter(({ event }) => event === 'execution:suspended').length).toBe(2)
  })

  test('are not begun by a restart', async () => {
    const { api, acme, model } = await withSlowModel()
    const executionId = await beginSlow(acme, model)
    await api.close() // in the middle of the call: the execution is still due
    await suspendWithoutStoppingWork(api.dataDir, acme.tenantId)
    const before = model.calls.length

    const again = await startApi({ dataDir: api.dataDir, env: model.env })

    await expect.poll(() => dueExecutions(again, acme.tenantId)).toEqual([])
    await resume(again, acme.tenantId)
    expect((await again.client(acme.key).get(`/executions/${executionId}`)).body).toMatchObject({
      status: 'suspended',
      suspendedReason: expect.stringMatching(/^tenant_suspended: /),
    })
    expect(model.calls.length).toBe(before)
    const told = (await again.client(acme.key).events(executionId)).map(({ event }) => event)
    expect(told).not.toContain('execution:resumed') // nobody took it up, not even to put it down again
    expect(told.at(-1)).toBe('execution:suspended')
  })
})

/** What a process leaves behind that dies between the second and the third step of a suspension. */
async function suspendWithoutStoppingWork(dataDir: string, tenantId: string): Promise<void> {
  const stores = await openStores(readConfig({ DESI_DATA_DIR: dataDir, LOG_LEVEL: 'silent' }))
  await stores.control.updateTable('tenants').set({ status: 'suspended' }).where('id', '=', tenantId).execute()
  await stores.homes.use(tenantId, (db) => db.updateTable('tenant').set({ status: 'suspended' }).execute())
  await stores.close()
}
