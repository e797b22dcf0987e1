import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { directoryOf } from '#kit/db/directory.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { DueWorkKind } from '#ports/directory.ts'
import { collectLog } from '#test/features/http/collect-log.ts'
import { HeldClock } from '#test/features/http/held-clock.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { watchStatements } from '#test/support/query-plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const ONE = planOf([{ id: '1' }])
const WRITE = planOf([{ id: '001', tool: 'writeFile', params: { path: 'a.md', content: 'a' } }])

const due = (api: TestApi, tenantId: string) =>
  api.api.stores.control.selectFrom('due_work').select('kind').where('tenant_id', '=', tenantId).execute()

/** An execution in the middle of a call, as a server that went down left it; the next one gets answers. */
async function interrupted(clock: HeldClock) {
  let isHanging = true
  const model = await openAiServer(() => (isHanging ? 'hang!' : 'ok'))
  const first = await startApi({ env: model.env, overrides: { now: clock.now } })
  const acme = await first.tenant('acme')
  for (let i = 0; i < 20; i += 1) await first.tenant(`quiet-${i}`)
  const { body } = await acme.post('/dags/execute-definition', { definition: ONE })
  await expect.poll(() => model.calls.length).toBe(1)
  await first.close()
  isHanging = false
  return { model, dataDir: first.dataDir, key: acme.key as string, id: body.id as string }
}

test('a start goes on at once with what the process before it was at, and opens no other tenant', async () => {
  const clock = new HeldClock()
  const { model, dataDir, key, id } = await interrupted(clock)

  const next = await startApi({ env: model.env, dataDir, overrides: { now: clock.now } })
  expect(next.api.stores.homes.openCount).toBeLessThanOrEqual(1)

  expect(await next.client(key).ended(id)).toMatchObject({ status: 'completed' })
  expect(next.api.stores.homes.openCount).toBe(1)
})

test('where processes share the databases, a start leaves to the others what they are at, until they are late', async () => {
  const clock = new HeldClock()
  const { model, dataDir, key, id } = await interrupted(clock)

  const overrides = { now: clock.now, engine: { isSoleProcess: false } }
  const next = await startApi({ env: model.env, dataDir, overrides })
  clock.pass(29_999)
  await next.api.tick()
  await new Promise((resolve) => setTimeout(resolve, 300))
  expect((await next.client(key).get(`/executions/${id}`)).body.status).toBe('running')
  expect(model.calls.length).toBe(1)
  clock.pass(1)
  await next.api.tick()
  expect(await next.client(key).ended(id)).toMatchObject({ status: 'completed' })
})

describe('recovery that is stopped half-way is finished by the next start', () => {
  const raise = "begin select raise(abort, 'the process died'); end"

  test.each([
    ['before it has marked the DAG', 'tenant', `create trigger dies before update on dags ${raise}`],
    ['before it has taken the row away', 'control', `create trigger dies before delete on due_work ${raise}`],
  ] as const)('%s', async (_, home, trigger) => {
    const overrides = { log: collectLog().log }
    const first = await startApi({ overrides })
    const acme = await first.tenant('acme')
    const { body } = await acme.post('/dags', { goalText: 'Count the words of "a b"' })
    await first.close()
    const files = { tenant: `${first.dataDir}/tenants/${acme.tenantId}/agent.db`, control: `${first.dataDir}/admin.db` }
    inFile(files.tenant, "update dags set status = 'planning', plan = null")
    const row = `'${acme.tenantId}', 'planning', '${body.dagId}', '2999-01-01T00:00:00.000Z'`
    inFile(files.control, `insert into due_work (tenant_id, kind, subject_id, due_at) values (${row})`)

    inFile(files[home], trigger)
    await (await startApi({ dataDir: first.dataDir, overrides })).close()
    inFile(files[home], 'drop trigger dies')
    const last = await startApi({ dataDir: first.dataDir, overrides })

    const dag = (await last.client(acme.key).get(`/dags/${body.dagId}`)).body
    expect(dag).toMatchObject({ status: 'failed', error: { code: 'interrupted' } })
    expect(dag.planning.attempts.length).toBeGreaterThan(0)
    expect((await due(last, acme.tenantId)).map(({ kind }) => kind)).toEqual(['invoice'])
  })

  function inFile(file: string, statement: string): void {
    const db = new Database(file)
    db.exec(statement)
    db.close()
  }
})

test('a tenant whose database is busy does not hold up what is due for others', async () => {
  const clock = new HeldClock('2026-03-15T12:00:00.000Z')
  const api = await startApi({ overrides: { now: clock.now } })
  const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
  for (const tenant of [acme, globex]) await tenant.runDefinition(WRITE)
  const gate = Promise.withResolvers<void>()
  const busy = api.api.stores.homes.use(acme.tenantId, (db) => transaction(db, () => gate.promise))
  await directoryOf(api.api.stores.control, acme.tenantId).putDueWork('invoice', '2026-03', '2026-04-01T00:05:00.000Z')

  clock.pass(Date.parse('2026-04-01T00:10:00.000Z') - clock.now().getTime())
  const invoices = () => globex.get('/billing/invoices').then(({ body }) => body.data)
  await expect.poll(invoices, { timeout: 4_000 }).toHaveLength(1) // by itself, about a second later

  gate.resolve()
  await busy
})

test('schedules that plan their goal for minutes hold up no other', async () => {
  const clock = new HeldClock()
  const gate = Promise.withResolvers<string>()
  const model = await openAiServer(({ task }) => (task === 'plan' ? gate.promise : 'ok'))
  const api = await startApi({ env: model.env, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { body: planned } = await acme.post('/dags/execute-definition', { definition: ONE })
  const schedule = async (more: object) =>
    (await acme.post('/schedules', { cronSchedule: '*/5 * * * *', ...more })).body.id as string
  for (let i = 0; i < 10; i += 1) await schedule({ goal: { goalText: 'Write about the sea' } })
  const quick = await schedule({ dagId: planned.dagId, cronSchedule: '*/10 * * * *' })

  clock.pass(5 * 60_000)
  const plannings = () => model.calls.filter(({ task }) => task === 'plan').length
  await expect.poll(plannings, { timeout: 10_000 }).toBe(10)
  clock.pass(5 * 60_000)

  const statuses = async () => {
    const { body } = await acme.get(`/schedules/${quick}/occurrences`)
    return body.data.map(({ status }: { status: string }) => status)
  }
  await expect.poll(statuses, { timeout: 10_000 }).toEqual(['started'])
  expect(plannings()).toBe(10)
  gate.resolve('no plan')
})

test('due work of a tenant that is gone is forgotten, of whatever kind', async () => {
  const api = await startApi()
  const gone = crypto.randomUUID()
  const kinds: Record<DueWorkKind, string> = {
    execution: crypto.randomUUID(),
    planning: crypto.randomUUID(),
    experiment: crypto.randomUUID(),
    schedule: crypto.randomUUID(),
    schedule_index: gone,
    invoice: '2026-03',
    tenant_record: crypto.randomUUID(),
    accepted_invitation: 'token',
  }
  for (const [kind, subjectId] of Object.entries(kinds)) {
    const directory = directoryOf(api.api.stores.control, gone)
    await directory.putDueWork(kind as DueWorkKind, subjectId, '2026-01-01T00:00:00.000Z')
  }
  await api.api.tick()
  await expect.poll(() => due(api, gone)).toEqual([])
})

test('a look at what is due that finds nothing is one statement', async () => {
  const watched = watchStatements()
  const api = await startApi()
  await api.tenant('acme')
  await api.api.tick()
  watched.ran.length = 0
  await api.api.tick()
  expect(new Set(watched.ran)).toEqual(new Set([expect.stringContaining('update "due_work"')]))
})
