import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { directoryOf, lookAgainAt } from '#kit/db/directory.ts'
import type { Client } from '#test/support/client.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'
import { completed, due, GOOD, started, temperatures, until, withPlanner } from './experimenting.ts'

/** A planner that answers nobody until it is told to. */
function heldPlanner(answer: (call: ModelCall) => Reply = () => GOOD) {
  const gate = Promise.withResolvers<void>()
  const seen = { inFlight: 0, most: 0 }
  const script = async (call: ModelCall) => {
    seen.inFlight += 1
    seen.most = Math.max(seen.most, seen.inFlight)
    await gate.promise
    seen.inFlight -= 1
    return answer(call)
  }
  return { seen, script, letGo: gate.resolve }
}

const temperaturesOf = (calls: readonly ModelCall[]) => calls.map(({ body }) => body.temperature as number).toSorted()
const statusesOf = (client: Client) =>
  client.get('/dags').then(({ body }) => body.data.map(({ status }: { status: string }) => status).toSorted())

describe('not all at once', () => {
  test('no more than four trials are planned at once, and each trial once', async () => {
    const { seen, script, letGo } = heldPlanner()
    const { model, acme } = await withPlanner(script)
    const { body } = await started(acme, { temperatures: temperatures(10) })
    await expect.poll(() => seen.inFlight).toBe(4)
    letGo()

    expect((await completed(acme, body.id)).endedTrials).toBe(10)
    expect(seen.most).toBe(4)
    expect(temperaturesOf(model.calls)).toEqual(temperatures(10))
  })

  test('five experiments are at work in a process, of whichever tenants; the others wait for their turn', async () => {
    const { seen, script, letGo } = heldPlanner()
    const { model, api, acme } = await withPlanner(script)
    const globex = await api.tenant('globex')
    const asked = []
    for (const client of [acme, globex]) {
      for (let i = 0; i < 6; i += 1)
        asked.push({ client, answer: await started(client, { temperatures: temperatures(6) }) })
    }

    expect(asked.map(({ answer }) => answer.status)).toEqual(Array(12).fill(202))
    await expect.poll(() => seen.inFlight).toBe(20)
    await api.api.tick() // what waits is not put in again
    letGo()
    for (const { client, answer } of asked) expect((await completed(client, answer.body.id)).endedTrials).toBe(6)
    expect(seen.most).toBe(20)
    expect(model.calls.length).toBe(72)
    expect(await due(api)).toEqual([])
  })

  test('those that wait when the server goes down are planned by the next one', async () => {
    const model = await openAiServer(() => 'hang!')
    const first = await startApi({ env: model.env })
    const acme = await first.tenant('acme')
    const ids: string[] = []
    for (let i = 0; i < 7; i += 1) ids.push((await started(acme)).body.id)
    await expect.poll(() => model.calls.length).toBe(5)
    await first.close()

    const second = await startApi({ env: (await openAiServer(() => GOOD)).env, dataDir: first.dataDir })
    const ends = []
    for (const id of ids) ends.push((await completed(second.client(acme.key), id)).trials[0]?.status)

    expect(ends.toSorted()).toEqual([...Array(5).fill('failed'), ...Array(2).fill('success')])
    expect(model.calls.length).toBe(5)
  })
})

describe('what a person can cure', () => {
  /** When the experiment is looked at next, once nobody works on it. */
  async function putOff(api: TestApi, tenantId: string, id: string): Promise<string | undefined> {
    const tenant = new Database(`${api.dataDir}/tenants/${tenantId}/agent.db`, { readonly: true })
    const row = tenant.prepare('select lease_owner from experiments where id = ?').get(id) as { lease_owner: string }
    tenant.close()
    const { control } = api.api.stores
    const found = await control.selectFrom('due_work').select('due_at').where('subject_id', '=', id).execute()
    return row.lease_owner === null ? found[0]?.due_at : undefined
  }

  test('a suspension in the middle: what was being planned keeps its plan, the rest waits until the tenant is active again', async () => {
    const clock = new HeldClock()
    // The fourth's first answer is no plan; when it is to be asked again the tenant is suspended.
    const { seen, script, letGo } = heldPlanner(({ body, messages }) =>
      body.temperature === 0.3 && messages.length === 1 && clock.now() < new Date(resumedAt) ? 'no plan' : GOOD,
    )
    const { model, api, acme } = await withPlanner(script, { now: clock.now })
    const resumedAt = '2026-03-01T12:05:00.000Z'
    const set = (change: string) => api.superAdmin.post(`/admin/tenants/${acme.tenantId}/${change}`)
    const { body } = await started(acme, { temperatures: temperatures(8) })
    await expect.poll(() => seen.inFlight).toBe(4)

    clock.pass(1_000)
    expect((await set('suspend')).status).toBe(200)
    letGo()
    await expect.poll(() => putOff(api, acme.tenantId, body.id)).toBe('2026-03-01T12:01:01.000Z')
    clock.pass(59_999)
    await api.api.tick() // too early to look at it again
    expect(await putOff(api, acme.tenantId, body.id)).toBe('2026-03-01T12:01:01.000Z')
    clock.pass(1)
    const tenant = new Database(`${api.dataDir}/tenants/${acme.tenantId}/agent.db`, { readonly: true })
    const writes = () => tenant.pragma('data_version') // another number after each write of somebody else
    const before = writes()
    await api.api.tick()
    await expect.poll(() => putOff(api, acme.tenantId, body.id)).toBe('2026-03-01T12:02:01.000Z')
    expect([model.calls.length, writes()]).toEqual([4, before])
    tenant.close()

    clock.pass(240_000)
    await set('resume')
    const resting = await until(acme, body.id, () => true)
    expect([resting.status, resting.endedTrials]).toEqual(['running', 3])
    const waiting = resting.trials.filter(({ status }) => status === 'pending')
    expect(waiting.map(({ temperature, dagId, error }) => [temperature, dagId, error])).toEqual(
      [0.3, 0.4, 0.5, 0.6, 0.7].map((temperature) => [temperature, null, null]),
    )
    const halfPlanned = (await acme.get('/dags?status=failed')).body.data
    expect(halfPlanned.map(({ error, params }: { error: object; params: object }) => [error, params])).toEqual([
      [
        { code: 'tenant_suspended', message: expect.any(String) },
        { model: 'gpt-4o-mini', temperature: 0.3 },
      ],
    ])

    await api.api.tick()
    const { trials, endedTrials } = await completed(acme, body.id)
    expect([endedTrials, new Set(trials.map(({ status }) => status))]).toEqual([8, new Set(['success'])])
    expect(temperaturesOf(model.calls)).toEqual([0, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5, 0.6, 0.7])
    expect(await statusesOf(acme)).toEqual(['failed', ...Array(8).fill('success')])
    expect(await due(api)).toEqual([])
  })

  test('a quota that is used up in the middle: the rest waits until there is room again', async () => {
    const clock = new HeldClock()
    const model = await openAiServer(() => {
      clock.pass(1)
      return { text: GOOD, usage: { prompt_tokens: 100_000, completion_tokens: 20_000 } }
    })
    const api = await startApi({ env: model.env, overrides: { now: clock.now } })
    const acme = await api.tenant('acme', { plan: 'free', quotas: { maxTokensPerMonth: 300_000 } })
    const createdAt = clock.now().toISOString()
    const { body } = await started(acme, { temperatures: temperatures(8) })
    await expect.poll(async () => ((await putOff(api, acme.tenantId, body.id)) ?? createdAt) > createdAt).toBe(true)

    const { status, trials: open } = await until(acme, body.id, () => true)
    const planned = model.calls.length
    expect(planned).toBeLessThanOrEqual(6) // four begin at once, two more while less than 300,000 are used
    expect(status).toBe('running')
    expect(open.map(({ status }) => status).toSorted()).toEqual([
      ...Array(8 - planned).fill('pending'),
      ...Array(planned).fill('success'),
    ])
    expect(await started(acme)).toMatchObject({ status: 403, body: { code: 'quota_exceeded' } })
    clock.pass(60_000)
    const before = await putOff(api, acme.tenantId, body.id)
    await api.api.tick()
    await expect.poll(async () => (await putOff(api, acme.tenantId, body.id)) === before).toBe(false)
    expect(model.calls.length).toBe(planned)

    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { quotas: { maxTokensPerMonth: 2_000_000 } })
    clock.pass(60_000)
    await api.api.tick()

    const { trials } = await completed(acme, body.id)
    expect(trials.map(({ status }) => status)).toEqual(Array(8).fill('success'))
    expect(temperaturesOf(model.calls)).toEqual(temperatures(8))
    expect((await acme.get('/dags?includeTotal=true')).body.pagination.total).toBe(8)
    expect(await due(api)).toEqual([])
  })

  test('goes on with the next server, too', async () => {
    const { seen, script, letGo } = heldPlanner()
    const { model, api, acme } = await withPlanner(script)
    const { body } = await started(acme, { temperatures: temperatures(6) })
    await expect.poll(() => seen.inFlight).toBe(4)
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
    letGo()
    await expect.poll(() => putOff(api, acme.tenantId, body.id)).toBeDefined()
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/resume`)
    await api.close()

    const next = await startApi({ env: model.env, dataDir: api.dataDir })

    expect((await completed(next.client(acme.key), body.id)).trials.map(({ status }) => status)).toEqual(
      Array(6).fill('success'),
    )
    expect(temperaturesOf(model.calls)).toEqual(temperatures(6))
  })
})

test('an experiment that is announced and about to be written is not forgotten by who looks for what is due', async () => {
  const clock = new HeldClock()
  const { api, acme } = await withPlanner(() => GOOD, { now: clock.now })
  const announced = crypto.randomUUID()
  await directoryOf(api.api.stores.control, acme.tenantId).putDueWork('experiment', announced, lookAgainAt(clock.now()))

  await api.api.tick()
  await completed(acme, (await started(acme)).body.id) // whatever was put in before has had its turn
  expect(await due(api)).toEqual([{ subject_id: announced }])

  clock.pass(30_000) // by now whoever announced it is dead
  await api.api.tick()
  await expect.poll(() => due(api)).toEqual([])
})

test('a server that goes down begins no trial more; the next one plans what waits, and nothing twice', async () => {
  let asked = 0
  const model = await openAiServer(() => {
    asked += 1
    return asked > 4 && asked <= 8 ? 'hang!' : GOOD
  })
  const first = await startApi({ env: model.env })
  const acme = await first.tenant('acme')
  const { body } = await started(acme, { temperatures: temperatures(10) })
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
  tenant
    .prepare(
      "update experiments set status = 'running', completed_at = null, lease_owner = 'the dead', lease_until = '9999' where id = ?",
    )
    .run(id)
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
