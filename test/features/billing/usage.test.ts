import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { HeldClock } from '#test/features/http/held-clock.ts'
import type { Client } from '#test/support/client.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { bookUsage } from '#test/support/past-usage.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

interface UsageRecord {
  resourceType: string
  quantity: number
  unitCost: number | null
  costUsdMicros: number | null
  metadata: Record<string, string | null>
  timestamp: string
}

/** All records that match, a page at a time. */
async function historyOf(client: Client, filter = ''): Promise<UsageRecord[]> {
  const records: UsageRecord[] = []
  for (let cursor = ''; ; ) {
    const { status, body } = await client.get(`/billing/usage/history?limit=100${filter}${cursor}`)
    if (status !== 200) throw new Error(JSON.stringify(body))
    records.push(...body.data)
    if (body.pagination.nextCursor === null) return records
    cursor = `&cursor=${body.pagination.nextCursor}`
  }
}

const sum = (records: readonly UsageRecord[], ...resources: string[]) =>
  records
    .filter(({ resourceType }) => resources.includes(resourceType))
    .reduce((all, { quantity }) => all + quantity, 0)

/** What the records of an execution say of its tokens, as its cost does. */
const tokensOf = (records: readonly UsageRecord[]) => ({
  promptTokens: sum(records, 'prompt_tokens', 'cached_tokens'),
  cachedTokens: sum(records, 'cached_tokens'),
  completionTokens: sum(records, 'completion_tokens'),
  totalTokens: sum(records, 'prompt_tokens', 'cached_tokens', 'completion_tokens'),
})

/** Adds records up by what a total stands for, in whole numbers throughout. */
function addedUp(records: readonly UsageRecord[]) {
  const totals = new Map<string, bigint>()
  for (const { resourceType, metadata, unitCost, quantity } of records) {
    const key = JSON.stringify([resourceType, metadata.provider, metadata.model, unitCost])
    totals.set(key, (totals.get(key) ?? 0n) + BigInt(quantity))
  }
  return totals
}

const PLAN = planOf([
  { id: '001', prompt: 'first' },
  { id: '002', prompt: 'second' },
  { id: '003', tool: 'writeFile', params: { path: 'out.md', content: 'twelve bytes' }, dependencies: ['001'] },
])

describe('the records of an execution', () => {
  test('agree with the ledger: tokens by kind, whose they are, and what they cost', async () => {
    let failures = 1
    const model = await openAiServer(({ messages }) => {
      if (messages[0] === 'second' && failures-- > 0) return 'cut!' // counted by nobody, tried again
      return { text: 'done', delayMs: 5, usage: { prompt_tokens: 100, completion_tokens: 20, cached_tokens: 30 } }
    })
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme')
    const execution = await acme.runDefinition(PLAN)
    const { body: cost } = await acme.get(`/costs/executions/${execution.id}`)

    const records = await historyOf(acme, `&executionId=${execution.id}`)

    expect(execution.status).toBe('completed')
    expect(tokensOf(records)).toEqual(cost.execution.usage)
    expect(tokensOf(records).totalTokens).toBe(3 * 120)
    const ofStep = (taskId: string) => {
      const { id } = execution.subSteps.find((step: { taskId: string }) => step.taskId === taskId)
      return records.filter(({ metadata }) => metadata.subStepId === id)
    }
    const tokens = ofStep('001').filter(({ resourceType }) => resourceType.endsWith('_tokens'))
    expect(
      tokens
        .map(({ resourceType, quantity, unitCost, costUsdMicros }) => [resourceType, quantity, unitCost, costUsdMicros])
        .toSorted(),
    ).toEqual([
      ['cached_tokens', 30, 25_000, 1],
      ['completion_tokens', 20, 2_000_000, 40],
      ['prompt_tokens', 70, 250_000, 18],
    ])
    for (const { metadata } of tokens) {
      expect(metadata).toMatchObject({
        provider: 'openai',
        model: 'gpt-5-mini',
        agentName: 'inference',
        userId: acme.userId,
        dagId: execution.dagId,
        executionId: execution.id,
        priceVersion: '2026-01+genai-prices@0.1.8',
      })
    }
    expect(sum(records, 'executions')).toBe(1)
    expect(sum(ofStep('003'), 'storage_bytes')).toBe(12)
    expect(sum(ofStep('001'), 'compute_ms')).toBeGreaterThan(0)
    for (const { taskId, durationMs } of execution.subSteps) {
      expect(sum(ofStep(taskId), 'compute_ms'), taskId).toBeLessThanOrEqual(durationMs) // pauses are not work
    }
  })

  test('stay when the execution is deleted', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { id } = await acme.runDefinition(PLAN)
    const before = await historyOf(acme)
    await acme.delete(`/executions/${id}`)
    expect(before.length).toBeGreaterThan(3)
    expect(await historyOf(acme)).toEqual(before)
  })

  test('agree with the ledger however the execution is cut short', async () => {
    // Every third answer is empty: it is paid for, and asked for again after a pause that a cancellation can fall into.
    const model = await openAiServer(() => ({
      text: model.calls.length % 3 === 0 ? '' : 'done',
      delayMs: (model.calls.length * 7) % 20,
    }))
    const api = await startApi({ env: { ...model.env, RETRY_BASE_MS: '40' } })
    const acme = await api.tenant('acme')
    const begin = async (delayMs: number) => {
      const { body } = await acme.post('/dags/execute-definition', { definition: PLAN })
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      await acme.post(`/executions/${body.id}/cancel`)
      return body.id as string
    }
    const ids: string[] = []
    for (let i = 0; i < 20; i += 1) ids.push(await begin(i * 6)) // one by one: together they would all be waiting
    const { db, release } = (await api.api.stores.homes.pin(acme.tenantId))!
    const isOver = () => db.selectFrom('executions').select('id').where('lease_owner', 'is not', null).execute()
    await expect.poll(isOver).toEqual([])
    await expect.poll(() => api.api.stores.control.selectFrom('due_work').select('kind').execute()).toHaveLength(1)

    for (const id of ids) {
      const ledger = await db.selectFrom('model_calls').selectAll().where('execution_id', '=', id).execute()
      const counted = ledger.reduce((all, call) => all + call.prompt_tokens + call.completion_tokens, 0)
      expect(tokensOf(await historyOf(acme, `&executionId=${id}`)).totalTokens, id).toBe(counted)

      // Nor is any call booked that the provider was not asked for: each answer counts 120 tokens.
      const steps = await db.selectFrom('sub_steps').select(['id', 'task_id']).where('execution_id', '=', id).execute()
      for (const work of [...steps, { id: null, task_id: 'synthesis' }]) {
        const booked = ledger.filter(({ sub_step_id }) => sub_step_id === work.id)
        const asked = model.calls.filter(({ idempotencyKey }) => idempotencyKey?.startsWith(`${id}/${work.task_id}/`))
        const answered = booked.filter(({ error_code }) => error_code !== 'aborted')
        expect(answered.length, work.task_id).toBeLessThanOrEqual(asked.length)
        expect(asked.length, work.task_id).toBeLessThanOrEqual(booked.length)
        const tokens = booked.reduce((all, call) => all + call.prompt_tokens + call.completion_tokens, 0)
        expect(tokens, work.task_id).toBe(answered.length * 120)
      }
    }
    release()
  })

  test('are committed with the step and its ledger, or none of them is', async () => {
    const model = await openAiServer(() => 'done')
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme')
    const { db, release } = (await api.api.stores.homes.pin(acme.tenantId))!
    const broken = sql`create trigger broken before insert on usage_totals when new.resource_type = 'completion_tokens'
      begin select raise(abort, 'broken'); end`
    await broken.execute(db)
    const { body } = await acme.post('/dags/execute-definition', {
      definition: planOf([{ id: '001', prompt: 'x' }]),
    })
    await expect.poll(() => model.calls.length, { timeout: 5_000 }).toBeGreaterThan(1) // it was tried again, whole
    expect(await db.selectFrom('model_calls').selectAll().execute()).toEqual([])
    expect(tokensOf(await historyOf(acme)).totalTokens).toBe(0)
    expect((await acme.get(`/executions/${body.id}/sub-steps`)).body.data[0].status).not.toBe('completed')

    await sql`drop trigger broken`.execute(db)
    const execution = await acme.ended(body.id)
    if (execution.status === 'suspended') await acme.post(`/executions/${body.id}/resume`)
    expect(await acme.ended(body.id)).toMatchObject({ status: 'completed', totalUsage: { totalTokens: 240 } })
    expect(tokensOf(await historyOf(acme)).totalTokens).toBe(240)
    release()
  })
})

test('planning is charged too, and its inputs take storage', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const content = '# Notes\n\nWe ship on Friday.\n'
  const { body } = await acme.post('/dags', {
    goalText: 'Summarise notes.md and write the result to out.md',
    inputs: [{ name: 'notes.md', content }],
  })
  const records = await historyOf(acme, `&dagId=${body.dagId}`)
  expect(sum(records, 'storage_bytes')).toBe(content.length)
  expect(tokensOf(records).totalTokens).toBe(body.dag.planning.usage.totalTokens)
  const tokens = records.filter(({ resourceType }) => resourceType.endsWith('_tokens'))
  expect(new Set(tokens.map(({ metadata }) => metadata.agentName))).toEqual(new Set(['planner']))
  expect(tokens.every(({ unitCost }) => unitCost === 0)).toBe(true)
  expect(tokens[0]?.metadata.priceVersion).toBe('2026-01+offline')
})

test('a model without a price has usage without a cost, told apart in the totals', async () => {
  const model = await openAiServer(() => 'done')
  const api = await startApi({ env: { ...model.env, LLM_MODEL: 'no-such-model' } })
  const acme = await api.tenant('acme')
  await acme.runDefinition(planOf([{ id: '001', prompt: 'x' }]))
  const tokens = (await historyOf(acme, '&model=no-such-model')).filter(({ quantity }) => quantity > 0)
  expect(tokens).toHaveLength(4)
  for (const record of tokens) expect(record).toMatchObject({ unitCost: null, costUsdMicros: null })
  const { body } = await acme.get('/billing/usage')
  expect(body.totals.unpricedQuantity).toBe(240)
  expect(body.resources.filter(({ unitCost }: UsageRecord) => unitCost === null)).toHaveLength(2)
})

describe('the totals of a month', () => {
  test('are derived again from its records, line by line', async () => {
    const model = await openAiServer(({ messages }) => ({
      text: 'done',
      usage: { prompt_tokens: 10 + (messages[0]?.length ?? 0), completion_tokens: 7, cached_tokens: 3 },
    }))
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme')
    await Promise.all(Array.from({ length: 8 }, () => acme.runDefinition(PLAN)))
    await acme.run('Count the words of this text: "one two three"', { provider: 'offline' })

    const { body } = await acme.get('/billing/usage')

    const told = new Map<string, bigint>(
      body.resources.map(
        ({ resourceType, provider, model, unitCost, quantity }: UsageRecord & Record<string, string>) => [
          JSON.stringify([resourceType, provider, model, unitCost]),
          BigInt(quantity),
        ],
      ),
    )
    expect(told.size).toBeGreaterThan(6)
    expect(told).toEqual(addedUp(await historyOf(acme)))
    for (const { quantity, unitCost, costUsdMicros } of body.resources) {
      expect(BigInt(costUsdMicros)).toBe((BigInt(quantity) * BigInt(unitCost) + 500_000n) / 1_000_000n)
    }
    const costs = body.resources.map(({ costUsdMicros }: UsageRecord) => costUsdMicros)
    expect(body.totals.costUsdMicros).toBe(costs.reduce((all: number, cost: number) => all + cost, 0))
  })

  test('begin anew with the month, in UTC', async () => {
    const clock = new HeldClock('2026-03-31T23:59:59.999Z')
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    await acme.runDefinition(PLAN)
    const march = (await acme.get('/billing/usage')).body
    const inMarch = await historyOf(acme)
    clock.pass(1)
    const begun = (await acme.get('/billing/usage')).body
    await acme.runDefinition(PLAN)
    const april = (await acme.get('/billing/usage')).body

    expect(march.period).toEqual({ start: '2026-03-01T00:00:00.000Z', end: '2026-04-01T00:00:00.000Z' })
    expect(begun).toMatchObject({
      period: { start: '2026-04-01T00:00:00.000Z', end: '2026-05-01T00:00:00.000Z' },
      resources: [],
      totals: { costUsdMicros: 0, unpricedQuantity: 0 },
    })
    expect(april.resources).toEqual(march.resources) // the same work
    const since = await historyOf(acme, '&from=2026-04-01T00:00:00Z')
    const until = await historyOf(acme, '&before=2026-04-01T00:00:00Z')
    expect(until).toEqual(inMarch)
    expect(since).toHaveLength(inMarch.length)
    expect(await historyOf(acme)).toHaveLength(2 * inMarch.length)
  })
})

describe('the history', () => {
  const moments = Array.from({ length: 12 }, (_, i) => `2026-02-${String(i + 1).padStart(2, '0')}T00:00:00.000Z`)
  async function booked(): Promise<{ api: TestApi; acme: Client & { tenantId: string } }> {
    const api = await startApi()
    const acme = await api.tenant('acme')
    await bookUsage(api, acme.tenantId, moments, { executions: 1, storageBytes: 10 })
    return { api, acme }
  }

  test('is told newest first, a page at a time, each record once', async () => {
    const { acme } = await booked()
    const seen: UsageRecord[] = []
    for (let cursor = ''; ; ) {
      const { body } = await acme.get(`/billing/usage/history?limit=5${cursor}`)
      expect(body.data.length).toBeLessThanOrEqual(5)
      seen.push(...body.data)
      if (!body.pagination.hasMore) break
      cursor = `&cursor=${body.pagination.nextCursor}`
    }
    expect(new Set(seen.map((record) => JSON.stringify(record))).size).toBe(24)
    expect(seen.map(({ timestamp }) => timestamp)).toEqual([...moments, ...moments].toSorted().reverse())
  })

  test('is filtered by moment and resource', async () => {
    const { acme } = await booked()
    const range = '&from=2026-02-03T01:00:00%2B01:00&before=2026-02-05T00:00:00Z'
    expect((await historyOf(acme, range)).map(({ timestamp }) => timestamp.slice(8, 10))).toEqual([
      '04',
      '04',
      '03',
      '03',
    ])
    const bytes = await historyOf(acme, `${range}&resourceType=storage_bytes`)
    expect(bytes.map(({ quantity }) => quantity)).toEqual([10, 10])
    expect((await acme.get('/billing/usage/history?resourceType=gold')).status).toBe(400)
  })
})

test('one tenant cannot reach another tenant’s usage', async () => {
  const api = await startApi()
  const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
  const { id, dagId } = await acme.runDefinition(PLAN)
  expect((await historyOf(acme, `&executionId=${id}`)).length).toBeGreaterThan(0)
  for (const filter of ['', `&executionId=${id}`, `&dagId=${dagId}`])
    expect(await historyOf(globex, filter)).toEqual([])
  expect((await globex.get('/billing/usage')).body.resources).toEqual([])
  const csv = await globex.raw(`/api/v2/billing/usage/export?executionId=${id}`)
  expect((await csv.text()).trim().split('\r\n')).toHaveLength(1)
})
