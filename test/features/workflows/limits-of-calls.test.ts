import { describe, expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import type { ModelCall, Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'
import { answerBoundOf, answerOf, boundOf, promptTokensAtMost, usedInLedger } from './limited.ts'
import { begin, statusesOf } from './stepwise.ts'

/** Each whole answer uses 120 tokens or 65 micro-USD. */
async function office(script: (call: ModelCall, nth: number) => Reply = () => 'ok', env: Record<string, string> = {}) {
  const seen = new Map<string | undefined, number>()
  const model = await heldModel((call) => {
    const nth = (seen.get(call.idempotencyKey) ?? 0) + 1
    seen.set(call.idempotencyKey, nth)
    return script(call, nth)
  })
  const api = await startApi({ env: { ...model.env, ...env } })
  return { model, api, acme: await api.tenant('acme') }
}

const AMPLE = { maxTokens: 1_000_000, maxCostUsdMicros: 1_000_000 }
/** What an answer of the model costs at most that is priced at 0.25 and 2 USD for a million tokens. */
const dearest = (call: ModelCall) => Math.ceil(promptTokensAtMost(call) * 0.25 + answerBoundOf(call) * 2)

describe('a call whose use nobody knows', () => {
  test.each([
    ['is cut', 'cut!'],
    ['times out', 'hang!'],
    ['cannot be read', 'garbage!'],
    ['does not say what it counted', { text: 'ok', usage: { prompt_tokens: 0, completion_tokens: 0 } }],
  ] as const)('counts at the most it can have used: one that %s', async (_what, reply) => {
    const { model, api, acme } = await office(
      ({ messages }, nth) => (messages[0] === 'a' && nth === 1 ? reply : 'ok'),
      {
        STEP_TIMEOUT_MS: '1000',
      },
    )
    const { status, limitsUsed } = await acme.ended(await begin(acme, { a: [] }, { limits: AMPLE }))

    expect(status).toBe('completed')
    const [lost] = model.calls as [ModelCall]
    const inLedger = usedInLedger(api, acme)
    expect(limitsUsed.tokens).toBe(boundOf(lost) + inLedger.tokens)
    expect(limitsUsed.costUsdMicros).toBe(dearest(lost) + inLedger.costUsdMicros)
  })

  test('counts as well when it is aborted: by a cancellation', async () => {
    const { model, acme } = await office()
    model.hold('b')
    const id = await begin(acme, { a: [], b: ['a'] }, { limits: AMPLE })
    await expect.poll(() => model.of('b').length).toBe(1)
    await acme.post(`/executions/${id}/cancel`)
    const used = async () => (await acme.get(`/executions/${id}`)).body.limitsUsed.tokens
    await expect.poll(used).toBe(120 + boundOf(model.of('b')[0] as ModelCall))
  })

  test('counts when there were no limits, once there are', async () => {
    const { model, acme } = await office(({ messages: [prompt] }, nth) => {
      if (prompt === 'b') return { status: 401 }
      return nth === 1 ? 'cut!' : 'ok'
    })
    const id = await begin(acme, { a: [], b: ['a'] })
    expect(await acme.ended(id)).toMatchObject({ status: 'suspended', limitsUsed: null })
    await acme.post(`/executions/${id}/resume`, { limits: { maxTokens: 2_000 } })
    const { status, suspendedReason, limitsUsed } = await acme.ended(id)
    expect([status, suspendedReason]).toEqual(['suspended', expect.stringMatching(/^limit_reached: /)])
    expect(limitsUsed.tokens).toBeGreaterThan(16_384)
    expect(model.of('b')).toHaveLength(1)
  })
})

test('a call that the provider refused counts nothing, and what was set aside for it is free again', async () => {
  const { model, acme } = await office((_call, nth) =>
    nth < 3 ? { status: 429, headers: { 'retry-after': '0' } } : 'ok',
  )
  const id = await begin(acme, { a: [], b: ['a'] }, { limits: { maxTokens: 6_000 } })
  expect(await acme.ended(id)).toMatchObject({ status: 'completed', limitsUsed: { tokens: 360, steps: 2 } })
  expect(model.calls).toHaveLength(9)
})

describe('an answer that is bounded by the limits', () => {
  test('and cut there suspends the execution; with more it is asked for again, under a new key', async () => {
    const { model, acme } = await office((call) => answerOf(call, 'as far as it goes', 3_000))
    const id = await begin(acme, { a: [] }, { limits: { maxTokens: 2_000 } })
    const cut = await acme.ended(id)
    expect(cut).toMatchObject({
      status: 'suspended',
      completedTasks: 0,
      suspendedReason: expect.stringMatching(/^limit_reached/),
    })
    expect(cut.limitsUsed.tokens).toBeLessThanOrEqual(2_000)
    await acme.post(`/executions/${id}/resume`, { limits: { maxTokens: 20_000 } })
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', completedTasks: 1 })
    expect(model.of('a').map(({ idempotencyKey }) => idempotencyKey)).toEqual([`${id}/a/0`, `${id}/a/1`])
  })

  test('is good when it is whole all the same', async () => {
    const { model, acme } = await office((call) => answerOf(call, 'short', 300))
    const id = await begin(acme, { a: [] }, { limits: { maxTokens: 2_000 } })
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', limitsUsed: { tokens: 800 } })
    expect(answerBoundOf(model.of('a')[0] as ModelCall)).toBeLessThan(2_000)
  })

  test('is never bounded by more than its agent allows', async () => {
    const { model, acme } = await office()
    const agent = { name: 'inference', version: '9', systemPrompt: 'x', constraints: { maxTokens: 40 } }
    const { body } = await acme.post('/agents', agent)
    await acme.post(`/agents/${body.id}/activate`)
    expect((await acme.ended(await begin(acme, { a: [] }, { limits: AMPLE }))).status).toBe('completed')
    expect(answerBoundOf(model.of('a')[0] as ModelCall)).toBe(40)
  })
})

describe('steps that run at once', () => {
  test('wait for what the others have set aside, rather than be suspended', async () => {
    const { model, acme } = await office(() => ({ text: 'ok', delayMs: 30 }))
    const graph = Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`p${index}`, []]))
    // Room for one usual answer at a time, although all of them together use little.
    const id = await begin(acme, graph, { limits: { maxTokens: 6_500 } })
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', completedTasks: 6, limitsUsed: { tokens: 840 } })
    for (const call of model.calls.filter(({ task }) => task === 'answer'))
      expect(answerBoundOf(call)).toBeGreaterThanOrEqual(4_096)
  })

  test('are all called at once where the limits have room for all', async () => {
    const { model, acme } = await office()
    model.hold('a', 'b', 'c')
    const id = await begin(acme, { a: [], b: [], c: [] }, { limits: AMPLE })
    await expect.poll(() => model.calls.length).toBe(3)
    model.letGo('a', 'b', 'c')
    expect((await acme.ended(id)).status).toBe('completed')
  })

  test('are not waited for for ever when the execution is cancelled', async () => {
    const { model, api, acme } = await office()
    model.hold('a', 'b')
    const id = await begin(acme, { a: [], b: [] }, { limits: { maxTokens: 6_000 } })
    await expect.poll(() => model.calls.length).toBe(1)
    await acme.post(`/executions/${id}/cancel`)
    const running = async () => ((await (await acme.raw('/health/ready')).json()) as { scheduler: object }).scheduler
    await expect.poll(running).toMatchObject({ runningExecutions: 0 })
    expect(model.calls).toHaveLength(1)
    expect(usedInLedger(api, acme).tokens).toBe(0)
  })
})

test('a step that the limits keep back is begun once, also when others end at the same moment', async () => {
  const { model, acme } = await office()
  const absent = { tool: 'readFile', params: { path: 'absent.md' } }
  const definition = planOf([{ id: 'a', ...absent }, { id: 'b', ...absent }, { id: 'c' }])
  for (let times = 0; times < 10; times += 1) {
    const { id, limitsUsed } = await acme.runDefinition(definition, { limits: { maxCostUsdMicros: 100 } })
    const begun = (await acme.events(id)).filter(({ event }) => event === 'execution:task_started')
    expect(begun.map(({ data }) => data.data.taskId)).toEqual(['a', 'b', 'c'])
    expect(limitsUsed.steps).toBe(3)
  }
  expect(model.calls).toEqual([])
})

test('calls that tools make are bounded too', async () => {
  const { model, acme } = await office((call) => answerOf(call, 'extracted', 900))
  const ask = (id: string, dependencies: string[] = []) => ({
    id,
    tool: 'llmExecute',
    params: { prompt: `extract ${id}` },
    dependencies,
  })
  const definition = planOf([ask('a'), ask('b', ['a']), ask('c', ['b']), ask('d', ['c'])])
  const execution = await acme.runDefinition(definition, { limits: { maxTokens: 3_000 } })
  expect(execution.status).toBe('suspended')
  expect(execution.limitsUsed.tokens).toBeLessThanOrEqual(3_000)
  expect(execution.limitsUsed.tokens).toBe(execution.totalUsage.totalTokens)
  expect(model.calls.length).toBeLessThan(4)
})

test('limits and the tenant’s quota hold together; what a quota refuses counts nothing', async () => {
  const { model, api, acme } = await office((call) => answerOf(call, 'answered', 900))
  const quota = (maxTokensPerMonth: number) =>
    api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { quotas: { maxTokensPerMonth } })
  const chain = { a: [], b: ['a'], c: ['b'], d: ['c'] }

  await quota(2_300)
  const id = await begin(acme, chain, { limits: { maxTokens: 50_000 } })
  const byQuota = await acme.ended(id)
  expect(byQuota.suspendedReason).toMatch(/^quota_exceeded: /)
  expect(byQuota.limitsUsed).toMatchObject(usedInLedger(api, acme))
  expect(byQuota).toMatchObject({ completedTasks: 2, limitsUsed: { tokens: 2_000 } })

  await quota(1_000_000)
  await acme.post(`/executions/${id}/resume`, { limits: { maxTokens: 4_500 } })
  const byLimit = await acme.ended(id)
  expect(byLimit.suspendedReason).toMatch(/^limit_reached: /)
  expect(byLimit.limitsUsed).toMatchObject(usedInLedger(api, acme))
  expect(byLimit.limitsUsed.tokens).toBeLessThanOrEqual(4_500)

  await acme.post(`/executions/${id}/resume`, { limits: {} })
  expect(statusesOf(await acme.ended(id))).toEqual({ a: 'completed', b: 'completed', c: 'completed', d: 'completed' })
  expect(model.of('a')).toHaveLength(1)
})
