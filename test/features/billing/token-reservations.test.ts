import { describe, expect, test } from 'vitest'
import { createMetering } from '#features/billing/usage/metering.ts'
import { newId } from '#kit/ids.ts'
import { HeldClock } from '#test/features/http/held-clock.ts'
import type { Answer, Client } from '#test/support/client.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const execute = (client: Client, definition: object) => client.post('/dags/execute-definition', { definition })
const times = (count: number, work: (index: number) => Promise<Answer>) =>
  Promise.all(Array.from({ length: count }, (_, index) => work(index)))
const withStatus = (answers: readonly Answer[], status: number) => answers.filter((answer) => answer.status === status)

async function withModel(script: (call: ModelCall) => Reply | Promise<Reply>, overrides = {}) {
  const model = await openAiServer(script)
  return { model, api: await startApi({ env: model.env, overrides }) }
}

describe('the tokens of calls in flight', () => {
  const STEPS = planOf(Array.from({ length: 8 }, (_, i) => ({ id: `${i}`, prompt: `step ${i}` })))
  /** The bound that was put on the answer. */
  const boundOf = ({ body }: ModelCall) => body.max_completion_tokens as number | undefined
  /** Answers after a while, at such length as it is let. */
  const atLength = (tokens: number) => (call: ModelCall) => ({
    text: 'done',
    delayMs: 20 + (call.messages[0]?.length ?? 0),
    usage: { prompt_tokens: 100, completion_tokens: Math.min(tokens, boundOf(call) ?? tokens) },
  })
  const tokensOf = async (client: Client) =>
    (await client.get('/billing/usage')).body.quotas.find(
      ({ quota }: { quota: string }) => quota === 'maxTokensPerMonth',
    ).used
  const reservationsOf = (api: TestApi, tenantId: string) =>
    api.api.stores.homes.use(tenantId, (db) => db.selectFrom('token_reservations').selectAll().execute())

  test('are reserved: executions with parallel steps never use more than the quota together', async () => {
    const { model, api } = await withModel(atLength(900))
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 6_000 } })

    const begun = await times(4, () => execute(acme, STEPS))
    const ended = await Promise.all(begun.map(({ body }) => acme.ended(body.id)))

    for (const { status, suspendedReason } of ended) {
      expect([status, suspendedReason]).toEqual(['suspended', expect.stringMatching(/^quota_exceeded: /)])
    }
    expect(model.calls.length).toBeGreaterThan(0)
    expect(await tokensOf(acme)).toBeLessThanOrEqual(6_000)
    await expect.poll(() => reservationsOf(api, acme.tenantId)).toEqual([])

    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { quotas: { maxTokensPerMonth: 10_000_000 } })
    for (const { id } of ended) await acme.post(`/executions/${id}/resume`)
    for (const { id } of ended) expect(await acme.ended(id)).toMatchObject({ status: 'completed', completedTasks: 8 })
    expect(await tokensOf(acme)).toBe(4 * 9 * 1_000 - missingOf(model.calls.map(boundOf), 900))
    expect(await reservationsOf(api, acme.tenantId)).toEqual([])
  })

  /** How much shorter answers of such a length were because of their bounds. */
  const missingOf = (bounds: readonly (number | undefined)[], length: number) =>
    bounds.reduce<number>((sum, bound = length) => sum + Math.max(0, length - bound), 0)

  test('are reserved when goals are planned at the same moment', async () => {
    const bounds: (number | undefined)[] = []
    const { api } = await withModel(async (call) => {
      bounds.push(boundOf(call))
      await new Promise((resolve) => setTimeout(resolve, 50))
      return { text: JSON.stringify(STEPS), usage: { prompt_tokens: 500, completion_tokens: boundOf(call) ?? 100_000 } }
    })
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 25_000 } })

    const answers = await times(6, () => acme.post('/dags', { goalText: 'Summarise the news' }))

    expect(withStatus(answers, 403).length).toBeGreaterThan(0)
    expect(withStatus(answers, 201).length).toBeGreaterThan(0)
    expect(await tokensOf(acme)).toBeLessThanOrEqual(25_000)
    expect(await reservationsOf(api, acme.tenantId)).toEqual([])
  })

  test('bound the answer to what is left; without a quota it is as long as the model makes it', async () => {
    const { model, api } = await withModel(atLength(10))
    const free = await api.tenant('free', { quotas: { maxTokensPerMonth: null } })
    const ample = await api.tenant('ample', { quotas: { maxTokensPerMonth: 1_000_000 } })
    const scarce = await api.tenant('scarce', { quotas: { maxTokensPerMonth: 1_000 } })
    const boundFor = async (client: Client, more: object = {}) => {
      const { body: agent } = await client.post('/agents', {
        name: 'inference',
        version: '9',
        systemPrompt: 'x'.repeat(300),
        ...more,
      })
      await client.post(`/agents/${agent.id}/activate`)
      const before = model.calls.length
      await client.runDefinition(planOf([{ id: '1', prompt: 'y'.repeat(30) }]))
      return boundOf(model.calls[before] as ModelCall)
    }
    expect(await boundFor(free)).toBeUndefined()
    expect(await boundFor(ample)).toBeUndefined()
    expect(await boundFor(scarce)).toBe(1_000 - 110)
    expect(await boundFor(ample, { version: '10', constraints: { maxTokens: 50 } })).toBe(50)
  })

  test('that are too few for a whole answer suspend the execution; with more it completes', async () => {
    const { model, api } = await withModel((call) => {
      const bound = boundOf(call)
      const usage = { prompt_tokens: 100, completion_tokens: Math.min(900, bound ?? 900) }
      return { text: 'as far as it goes', finishReason: bound === undefined ? 'stop' : 'length', usage }
    })
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 2_000 } })
    const { body } = await execute(acme, planOf([{ id: '1', prompt: 'x' }]))

    const cut = await acme.ended(body.id)
    expect([cut.status, cut.suspendedReason]).toEqual(['suspended', expect.stringMatching(/^tokens_exhausted: /)])
    expect([cut.completedTasks, cut.finalResult, model.calls.length]).toEqual([0, null, 1])
    expect(await tokensOf(acme)).toBe(1_000)

    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { quotas: { maxTokensPerMonth: 1_000_000 } })
    await acme.post(`/executions/${body.id}/resume`)
    expect((await acme.ended(body.id)).status).toBe('completed')
  })

  test('are waited for while calls in flight will give some back', async () => {
    const { api } = await withModel(() => ({
      text: 'done',
      delayMs: 300,
      usage: { prompt_tokens: 10, completion_tokens: 10 },
    }))
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 6_000 } })
    const parallel = planOf(Array.from({ length: 3 }, (_, i) => ({ id: `${i}`, prompt: 'x' })))
    expect((await acme.runDefinition(parallel)).status).toBe('completed')
  })

  for (const [what, reply] of [
    ['fails', { status: 400 }],
    ['is refused by the provider', { status: 401 }],
    ['breaks', 'cut!'],
    ['answers nothing', ''],
    ['hangs', 'hang!'],
  ] as const) {
    test(`are free again when a call ${what}`, async () => {
      const { api } = await withModel(() => reply)
      const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 100_000 } })
      const { body } = await execute(acme, STEPS)
      if (reply === 'hang!') {
        await expect.poll(async () => (await reservationsOf(api, acme.tenantId)).length).toBeGreaterThan(1)
        await acme.post(`/executions/${body.id}/cancel`)
      } else await acme.ended(body.id)
      await expect.poll(() => reservationsOf(api, acme.tenantId)).toEqual([])
    })
  }

  test('are free again some time after the process that called has died', async () => {
    const clock = new HeldClock('2026-03-10T12:00:00.000Z')
    const { api } = await withModel(() => 'done', { now: clock.now })
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 10_000 } })
    const metering = createMetering({ newId, now: clock.now })
    const dying = {
      promptCharacters: 300,
      promptTokensAtMost: () => 300,
      maxTokens: 1_000_000,
      timeoutMs: 60_000,
      signal: AbortSignal.timeout(60_000),
    }
    await api.api.stores.homes.use(acme.tenantId, (db) => metering.reserveModelCall(db, dying))

    clock.pass(179_999)
    expect((await acme.post('/dags', { goalText: 'Summarise the news' })).body).toMatchObject({
      code: 'quota_exceeded',
      details: { limit: 10_000, used: 10_000 },
    })
    expect((await acme.runDefinition(planOf([{ id: '1' }]))).status).toBe('suspended')
    expect(await tokensOf(acme)).toBe(0)
    clock.pass(1)
    expect((await acme.runDefinition(planOf([{ id: '1' }]))).status).toBe('completed')
    expect(await reservationsOf(api, acme.tenantId)).toEqual([])
  })

  test('of one tenant are not set aside from another tenant’s quota', async () => {
    const { promise: opened, resolve: open } = Promise.withResolvers<void>()
    const { api } = await withModel(({ messages }) => (messages[0] === 'slow' ? opened.then(() => 'done') : 'done'))
    const quotas = { maxTokensPerMonth: 3_000 }
    const [acme, globex] = await Promise.all([api.tenant('acme', { quotas }), api.tenant('globex', { quotas })])
    const { body: slow } = await execute(acme, planOf([{ id: '1', prompt: 'slow' }]))
    await expect.poll(async () => (await reservationsOf(api, acme.tenantId)).length).toBe(1)
    expect((await acme.runDefinition(planOf([{ id: '1' }]))).status).toBe('suspended')
    expect((await globex.runDefinition(planOf([{ id: '1' }]))).status).toBe('completed')
    open()
    expect((await acme.ended(slow.id)).status).toBe('completed')
  })
})
