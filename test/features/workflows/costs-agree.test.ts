import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HeldClock } from '#test/features/http/held-clock.ts'
import type { Client } from '#test/support/client.ts'
import { added, addedSpent, anotherUser, type LedgerRow, readLedger, spentOf, sumOfRows } from '#test/support/ledger.ts'
import { type CaseSketch, planOfCase, randomCase, scriptOf } from '#test/support/misfortunes.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const HOUR_MS = 3_600_000
const GROUPS = ['day', 'week', 'month', 'model', 'agent', 'user'] as const
type Group = (typeof GROUPS)[number]
type Tenant = Awaited<ReturnType<TestApi['tenant']>>

/** What each group of a summary is, told from the rows. Weeks are only added up here; see iso-week.test.ts. */
const KEYS: Record<Exclude<Group, 'week'>, (row: LedgerRow) => string | null> = {
  day: (row) => row.created_at.slice(0, 10),
  month: (row) => row.created_at.slice(0, 7),
  model: (row) => `${row.provider}/${row.model}`,
  agent: (row) => row.agent_name,
  user: (row) => row.user_id,
}

test('the ledger, the summary, DAGs, executions and sub-steps tell the same costs, whatever befell the calls', async () => {
  const cases = new Map<string, CaseSketch>()
  const model = await openAiServer(scriptOf(cases))
  const clock = new HeldClock('2026-11-20T09:00:00.000Z')
  const api = await startApi({ env: model.env, overrides: { now: clock.now } })
  let runs = 0

  await fc.assert(
    fc.asyncProperty(fc.array(randomCase, { minLength: 1, maxLength: 4 }), async (sketches) => {
      runs += 1
      const office = await openOffice(api, `office-${runs}`)
      const from = clock.now().toISOString()
      for (const sketch of sketches) {
        const name = `case-${cases.size}`
        cases.set(name, sketch)
        clock.pass(sketch.hoursLater * HOUR_MS)
        await workOff(office, name, sketch)
      }

      const rows = readLedger(api, office.admin)
      expect(new Set(rows.map(({ id }) => id)).size).toBe(rows.length)
      await assertSummariesTell(office.admin, rows, from)
      await assertExecutionsTell(office, rows)
      await assertDagsTell(office, rows)
      assertAskersTold(office, rows)
    }),
    { numRuns: 12, verbose: true },
  )
}, 60_000)

/** A tenant with its callers, and what they asked for. */
interface Office {
  admin: Tenant
  callers: Record<CaseSketch['by'], { client: Client; userId: string | null }>
  /** Who asked for them, deleted ones included. */
  dags: Map<string, string | null>
  executions: Map<string, { dagId: string; userId: string | null; isDeleted: boolean }>
}

async function openOffice(api: TestApi, slug: string): Promise<Office> {
  const admin = await api.tenant(slug)
  const member = await anotherUser(api, admin)
  const { body: key } = await admin.post('/auth/api-keys', {
    name: 'service',
    scopes: ['read', 'write', 'execute'],
    isServiceKey: true,
  })
  const { body: agent } = await admin.post('/agents', {
    name: 'own',
    version: '1',
    systemPrompt: 'You answer.',
    provider: 'openai',
    model: 'our-own-model',
  })
  await admin.post(`/agents/${agent.id}/activate`)
  const callers = {
    admin: { client: admin, userId: admin.userId },
    member: { client: member, userId: member.userId },
    service: { client: api.client(key.key), userId: null },
  }
  return { admin, callers, dags: new Map(), executions: new Map() }
}

async function workOff(office: Office, name: string, sketch: CaseSketch): Promise<void> {
  const { client, userId } = office.callers[sketch.by]
  const params = sketch.model === undefined ? {} : { provider: 'openai', model: sketch.model }
  const first =
    sketch.way === 'planned'
      ? await client.run(`goal of ${name}`, params)
      : await client.runDefinition(planOfCase(name, sketch), params)
  office.dags.set(first.dagId, userId)
  const executions = [{ execution: first, userId }]

  if (sketch.isExecutedAgainBy) {
    const other = office.callers[sketch.isExecutedAgainBy]
    const { body } = await other.client.post(`/dags/${first.dagId}/execute`)
    executions.push({ execution: await client.ended(body.id), userId: other.userId })
  }
  for (const { execution, userId } of executions) {
    const { id, dagId, status } = execution
    if (sketch.isResumed && status !== 'completed') {
      expect((await client.post(`/executions/${id}/resume`)).status).toBe(202)
      await client.ended(id)
    }
    const isDeleted = sketch.isDeleted && id === first.id
    if (isDeleted) expect((await client.delete(`/executions/${id}`)).status).toBe(204)
    office.executions.set(id, { dagId, userId, isDeleted })
  }
}

async function assertSummariesTell(client: Client, rows: LedgerRow[], from: string): Promise<void> {
  const expected = sumOfRows(rows)
  for (const groupBy of GROUPS) {
    const { status, body } = await client.get(`/costs/summary?groupBy=${groupBy}&from=${from}`)
    expect(status).toBe(200)
    expect(body.totals, groupBy).toEqual(expected)
    expect(added(body.groups), groupBy).toEqual(expected)
    if (groupBy === 'week') continue
    const groups = Map.groupBy(rows, KEYS[groupBy])
    const { groups: told } = body as { groups: ({ key: string | null } & ReturnType<typeof sumOfRows>)[] }
    expect(new Map(told.map(({ key, ...sum }) => [key, sum])), groupBy).toEqual(
      new Map([...groups].map(([key, ofKey]) => [key, sumOfRows(ofKey)])),
    )
  }
}

async function assertExecutionsTell({ admin, executions }: Office, rows: LedgerRow[]): Promise<void> {
  for (const [id, { dagId, isDeleted }] of executions) {
    const { status, body: cost } = await admin.get(`/costs/executions/${id}`)
    expect(status).toBe(isDeleted ? 404 : 200)
    if (isDeleted) continue
    const { body: execution } = await admin.get(`/executions/${id}/details`)
    const own = rows.filter((row) => row.execution_id === id)
    const planning = rows.filter((row) => row.dag_id === dagId && row.execution_id === null)
    const running = spentOf(sumOfRows(own))

    expect({ usage: execution.totalUsage, costUsdMicros: execution.costUsdMicros }).toEqual(running)
    expect(spentOf(cost.execution)).toEqual(running)
    expect(addedSpent([...cost.execution.subSteps, cost.execution.synthesis])).toEqual(running)
    expect(addedSpent(execution.subSteps.concat(cost.execution.synthesis))).toEqual(running)
    expect(spentOf(cost.planning)).toEqual(spentOf(sumOfRows(planning)))
    expect(addedSpent(cost.planning.attempts)).toEqual(spentOf(sumOfRows(planning)))
    expect(cost.totals.grandTotalCostUsdMicros).toBe(sumOfRows([...own, ...planning]).costUsdMicros)
    expect(callsIn(cost.unpriced)).toBe(sumOfRows(own).unpricedCalls)
  }
}

async function assertDagsTell({ admin, dags, executions }: Office, rows: LedgerRow[]): Promise<void> {
  let calls = 0
  for (const id of dags.keys()) {
    const { body: cost } = await admin.get(`/costs/dags/${id}`)
    const own = rows.filter((row) => row.dag_id === id)
    const planning = sumOfRows(own.filter((row) => row.execution_id === null))
    const running = sumOfRows(own.filter((row) => row.execution_id !== null))
    const begun = [...executions].filter(([, { dagId }]) => dagId === id)
    const isKnown = ([execution, { isDeleted }]: (typeof begun)[number]) =>
      !isDeleted || own.some((row) => row.execution_id === execution)

    const { attempts, ...planned } = cost.planning
    expect(planned).toEqual({ ...spentOf(planning), calls: planning.calls })
    expect(addedSpent(attempts)).toEqual(spentOf(planning))
    expect(attempts.length).toBe(planning.calls)
    expect(cost.executions).toEqual({
      ...spentOf(running),
      calls: running.calls,
      count: begun.filter(isKnown).length,
    })
    expect(addedSpent(cost.models)).toEqual(spentOf(sumOfRows(own)))
    expect(callsIn(cost.models)).toBe(own.length)
    expect(callsIn(cost.unpriced)).toBe(sumOfRows(own).unpricedCalls)
    expect(cost.totals).toEqual({
      planningCostUsdMicros: planning.costUsdMicros,
      executionCostUsdMicros: running.costUsdMicros,
      grandTotalCostUsdMicros: sumOfRows(own).costUsdMicros,
    })
    expect(cost.priceVersions).toEqual([...new Set(own.map((row) => row.price_version))])
    calls += callsIn(cost.models)
  }
  expect(calls).toBe(rows.length)
}

function assertAskersTold({ dags, executions }: Office, rows: LedgerRow[]): void {
  for (const row of rows) {
    const asker = row.execution_id === null ? dags.get(`${row.dag_id}`) : executions.get(row.execution_id)?.userId
    expect(row.user_id).toBe(asker)
    const own = row.model === 'our-own-model'
    const agents = { planning: ['planner'], title: ['titler'], synthesis: ['synthesizer'] } as Record<string, string[]>
    expect(own ? ['own'] : (agents[row.purpose] ?? ['inference', 'own'])).toContain(row.agent_name)
  }
}

const callsIn = (parts: readonly { calls: number }[]) => parts.reduce((sum, { calls }) => sum + calls, 0)
