import { describe, expect, test } from 'vitest'
import type { ExecutionLimits } from '#desiagent/limits.ts'
import { heldModel } from '#test/support/held-model.ts'
import type { ModelCall, Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'
import { answerBoundOf, answerOf, usedInLedger } from './limited.ts'

const PLAN = JSON.stringify(planOf([{ id: 'a', prompt: 'a' }], { title: 'One step' }))
/** The prompt of the planner, a token for each byte, is about 6,000 tokens. */
const ENOUGH_TO_PLAN = 9_000

async function office(planner: (call: ModelCall) => Reply, env: Record<string, string> = {}) {
  const model = await heldModel((call) => (call.task === 'plan' ? planner(call) : answerOf(call, 'answered', 500)))
  const api = await startApi({ env: { ...model.env, ...env } })
  const acme = await api.tenant('acme')
  const ask = (limits: ExecutionLimits) => acme.post('/create-execute', { goalText: 'Take one step', limits })
  return { model, api, acme, ask }
}

type Office = Awaited<ReturnType<typeof office>>

/** Nothing is executed, nothing is due; the DAG says why, and that it can be planned again. @returns the DAG */
async function expectRefused({ api, acme, ask }: Office, limits: ExecutionLimits, limit: keyof ExecutionLimits) {
  const { status, body } = await ask(limits)
  expect([status, body]).toMatchObject([
    422,
    { code: 'limit_reached', details: { limit, value: limits[limit], used: expect.any(Number) } },
  ])
  const { body: dags } = await acme.get('/dags')
  expect(dags.data).toMatchObject([{ status: 'failed', error: { code: 'limit_reached' }, plan: null }])
  expect((await acme.get('/executions')).body.data).toEqual([])
  const due = await api.api.stores.control.selectFrom('due_work').select('kind').execute()
  expect(due.filter(({ kind }) => kind === 'execution' || kind === 'planning')).toEqual([])
  return { dag: dags.data[0], details: body.details }
}

describe('the limits of an execution that is planned first', () => {
  test('that are too low for the planner’s prompt refuse it before any call', async () => {
    const started = await office(() => PLAN)
    const { details } = await expectRefused(started, { maxTokens: 3_000 }, 'maxTokens')
    expect(details.used).toBe(0)
    expect(started.model.calls).toEqual([])
  })

  test('that money is too short for refuse it before any call', async () => {
    const started = await office(() => PLAN)
    await expectRefused(started, { maxCostUsdMicros: 1_000 }, 'maxCostUsdMicros')
    expect(started.model.calls).toEqual([])
  })

  test('end planning when there is not enough for another attempt; what the first one cost is kept', async () => {
    const started = await office((call) => answerOf(call, 'I would rather talk.', 1_500, 3_000))
    const { dag, details } = await expectRefused(started, { maxTokens: ENOUGH_TO_PLAN }, 'maxTokens')
    expect(details.used).toBe(4_500)
    expect(dag).toMatchObject({ attempts: 1, planning: { usage: { totalTokens: 4_500 } } })
    expect(started.model.names()).toEqual(['plan'])
  })

  test('that cut the plan short end planning: asking again would cut it again', async () => {
    const started = await office((call) => answerOf(call, PLAN.slice(0, 200), 5_000, 3_000))
    const { dag } = await expectRefused(started, { maxTokens: ENOUGH_TO_PLAN }, 'maxTokens')
    expect(dag.planning.usage.totalTokens).toBeLessThanOrEqual(ENOUGH_TO_PLAN)
    expect(started.model.names()).toEqual(['plan'])
    expect(answerBoundOf(started.model.calls[0] as ModelCall)).toBeLessThan(5_000)
  })

  test('stop planning in the middle of a call when maxWallMs are over', async () => {
    const started = await office(() => PLAN)
    started.model.hold('plan')
    await expectRefused(started, { maxWallMs: 1_000 }, 'maxWallMs')
    await expect.poll(() => started.model.of('plan')[0]?.isBrokenOff).toBe(true)
  })

  test('leave the execution what planning has left of them', async () => {
    const { model, api, acme, ask } = await office((call) => answerOf(call, PLAN, 3_000, 3_000))
    const { status, body } = await ask({ maxTokens: 10_000 })
    expect([status, body.status]).toEqual([202, 'executing'])
    const ended = await acme.ended(body.executionId)
    expect(ended).toMatchObject({ status: 'completed', limitsUsed: { tokens: 7_200, steps: 1 } })
    expect(ended.limitsUsed).toMatchObject(usedInLedger(api, acme))
    // 10,000 less what planning took, and what the prompt may take, is less than the usual bound.
    expect(answerBoundOf(model.of('a')[0] as ModelCall)).toBeLessThan(4_000)
  })

  test('that planning has used up suspend the execution before its first call', async () => {
    const { model, acme, ask } = await office((call) => answerOf(call, PLAN, 1_500, 6_000))
    const { body } = await ask({ maxTokens: 8_000 })
    expect(await acme.ended(body.executionId)).toMatchObject({
      status: 'suspended',
      suspendedReason: expect.stringMatching(/^limit_reached: /),
      limitsUsed: { tokens: 7_500 },
    })
    expect(model.names()).toEqual(['plan'])
  })

  test('are not worth losing a plan for want of a title', async () => {
    const untitled = JSON.stringify(planOf([{ id: 'a', prompt: 'a' }]))
    const { model, acme, ask } = await office((call) => answerOf(call, untitled, 1_700, 6_000))
    const { status, body } = await ask({ maxTokens: 8_000 })
    expect([status, body]).toMatchObject([202, { dag: { dagTitle: 'Take one step' } }])
    expect((await acme.ended(body.executionId)).status).toBe('suspended')
    expect(model.names()).toEqual(['plan'])
  })

  test('count a planning call whose use nobody knows at the most it can have been', async () => {
    let isFirst = true
    const { acme, ask } = await office((call) => {
      if (!isFirst) return answerOf(call, PLAN, 100)
      isFirst = false
      return 'cut!'
    })
    const { body } = await ask({ maxTokens: 60_000 })
    const { limitsUsed, dagId } = await acme.ended(body.executionId)
    const { body: dag } = await acme.get(`/dags/${dagId}`)
    expect(dag.planning.usage.totalTokens).toBe(200)
    // Its prompt, about 6,000, and the 8,000 that the planner's answers may have.
    expect(limitsUsed.tokens).toBeGreaterThan(14_000)
    expect(limitsUsed.tokens).toBeLessThan(18_000)
  })
})

describe('a model without a price', () => {
  const LIMITS = { maxCostUsdMicros: 1_000_000 }
  const UNPRICED = { code: 'unpriced_model', details: { provider: 'openai', model: 'nobody-knows' } }

  test('is refused together with maxCostUsdMicros before any call, however the execution begins', async () => {
    const { model, acme, ask } = await office(() => PLAN, { LLM_MODEL: 'nobody-knows' })
    const definition = JSON.parse(PLAN)
    const { body: planned } = await acme.post('/dags', { goalText: 'Take one step' })
    const calls = model.calls.length

    for (const answer of [
      await ask(LIMITS),
      await acme.post('/dags/execute-definition', { definition, limits: LIMITS }),
      await acme.post(`/dags/${planned.dagId}/execute`, { limits: LIMITS }),
    ]) {
      expect(answer).toMatchObject({ status: 422, body: UNPRICED })
    }
    expect(model.calls).toHaveLength(calls)
    expect((await acme.get('/executions')).body.data).toEqual([])
    expect((await acme.get('/dags')).body.data).toHaveLength(1)
    const free = { maxTokens: 100_000, maxSteps: 5, maxWallMs: 60_000 }
    expect(await acme.runDefinition(definition, { limits: free })).toMatchObject({
      status: 'completed',
      costUsdMicros: null,
    })
  })

  test('is refused when only one agent of the plan has it; a plan that was paid for is kept', async () => {
    const plan = planOf([{ id: 'a' }, { id: 'b' }], { title: 'Two steps' })
    for (const task of plan.sub_tasks.slice(1)) task.tool_or_prompt.name = 'own'
    const { model, acme, ask } = await office(() => JSON.stringify(plan))
    const own = { name: 'own', version: '1', systemPrompt: 'x', provider: 'openai', model: 'nobody-knows' }
    const { body: agent } = await acme.post('/agents', own)
    await acme.post(`/agents/${agent.id}/activate`)

    const given = await acme.post('/dags/execute-definition', { definition: plan, limits: LIMITS })
    expect(given).toMatchObject({ status: 422, body: UNPRICED })
    expect(model.calls).toEqual([])
    expect(await ask(LIMITS)).toMatchObject({ status: 422, body: UNPRICED })
    expect(model.names()).toEqual(['plan'])
    expect((await acme.get('/executions')).body.data).toEqual([])
    const [kept] = (await acme.get('/dags')).body.data
    expect(kept).toMatchObject({ status: 'success', dagTitle: 'Two steps' })
    expect((await acme.post(`/dags/${kept.id}/execute`)).status).toBe(202)
  })

  test('suspends an execution that gets such a limit later, before any further call', async () => {
    const { model, acme } = await office(() => PLAN, { LLM_MODEL: 'nobody-knows' })
    const definition = planOf([{ id: 'a' }, { id: 'b', dependencies: ['a'] }])
    const { id } = await acme.runDefinition(definition, { limits: { maxSteps: 1 } })
    await acme.post(`/executions/${id}/resume`, { limits: LIMITS })
    expect(await acme.ended(id)).toMatchObject({
      status: 'suspended',
      suspendedReason: expect.stringMatching(/^unpriced_model: /),
      completedTasks: 1,
    })
    expect(model.calls).toHaveLength(1)
  })
})
