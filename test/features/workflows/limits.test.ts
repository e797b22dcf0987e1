import { describe, expect, test } from 'vitest'
import type { ExecutionLimits } from '#desiagent/limits.ts'
import type { Client } from '#test/support/client.ts'
import { heldModel } from '#test/support/held-model.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'
import { answerOf, usedInLedger } from './limited.ts'
import { begin, tasksOf, typesOf } from './stepwise.ts'

const CHAIN = { t1: [], t2: ['t1'], t3: ['t2'], t4: ['t3'], t5: ['t4'], t6: ['t5'] }
const PLAN = planOf(tasksOf(CHAIN), { title: 'Six steps' })

/** Its plans cost 120 tokens, each answer 2,100 tokens or 4,025 micro-USD. */
async function office() {
  const model = await heldModel((call) =>
    call.task === 'plan' ? JSON.stringify(PLAN) : answerOf(call, `${call.task} answered`, 2_000),
  )
  const api = await startApi({ env: model.env })
  return { model, api, acme: await api.tenant('acme') }
}

/** Every way to begin an execution. @returns its id */
const WAYS: Record<string, (client: Client, limits: ExecutionLimits) => Promise<string>> = {
  'that brings its plan': (client, limits) => begin(client, CHAIN, { limits }),
  async 'of a DAG'(client, limits) {
    const { body: planned } = await client.post('/dags', { goalText: 'Take six steps' })
    return (await client.post(`/dags/${planned.dagId}/execute`, { limits })).body.id
  },
  async 'of a goal'(client, limits) {
    return (await client.post('/create-execute', { goalText: 'Take six steps', limits })).body.executionId
  },
}

for (const [way, start] of Object.entries(WAYS)) {
  describe(`an execution ${way}`, () => {
    test.each([
      ['maxTokens', 12_000, 'tokens'],
      ['maxCostUsdMicros', 20_000, 'costUsdMicros'],
    ] as const)('never passes %s; with more it goes on where it stood', async (limit, value, used) => {
      const { model, api, acme } = await office()
      const id = await start(acme, { [limit]: value })

      const suspended = await acme.ended(id)
      expect(suspended).toMatchObject({ status: 'suspended', limits: { [limit]: value }, finalResult: null })
      expect(suspended.suspendedReason).toMatch(/^limit_reached: /)
      expect(suspended.completedTasks).toBeGreaterThan(2)
      const { body: cost } = await acme.get(`/costs/executions/${id}`)
      const isPlanned = way === 'of a goal'
      const taken = {
        tokens: suspended.totalUsage.totalTokens + (isPlanned ? cost.planning.usage.totalTokens : 0),
        costUsdMicros: suspended.costUsdMicros + (isPlanned ? cost.planning.costUsdMicros : 0),
      }
      expect(suspended.limitsUsed).toMatchObject(taken)
      expect(taken[used]).toBeLessThanOrEqual(value)
      expect(taken[used]).toBeGreaterThan(value * 0.6)
      expect(await typesOf(acme, id).then((types) => types.at(-1))).toBe('suspended')

      const calledOnce = model.names().filter((name, index, all) => name.startsWith('t') && all.indexOf(name) === index)
      await acme.post(`/executions/${id}/resume`, { limits: { [limit]: value * 10 } })
      const ended = await acme.ended(id)
      expect(ended).toMatchObject({ status: 'completed', completedTasks: 6, limits: { [limit]: value * 10 } })
      for (const done of calledOnce.slice(0, suspended.completedTasks)) expect(model.of(done).length, done).toBe(1)
      const inLedger = usedInLedger(api, acme)
      const before = way === 'of a DAG' ? cost.planning.costUsdMicros : 0
      expect(ended.limitsUsed.costUsdMicros).toBe(inLedger.costUsdMicros - before)
    })

    test('begins no more than maxSteps', async () => {
      const { model, acme } = await office()
      const id = await start(acme, { maxSteps: 3 })
      expect(await acme.ended(id)).toMatchObject({ status: 'suspended', completedTasks: 3, limitsUsed: { steps: 3 } })
      expect(model.names().filter((name) => name.startsWith('t'))).toEqual(['t1', 't2', 't3'])
      await acme.post(`/executions/${id}/resume`, { limits: { maxSteps: 6 } })
      expect(await acme.ended(id)).toMatchObject({ status: 'completed', completedTasks: 6, limitsUsed: { steps: 6 } })
      expect(model.names().filter((name) => name.startsWith('t'))).toEqual(['t1', 't2', 't3', 't4', 't5', 't6'])
    })

    test('is stopped in the middle of a call when maxWallMs are over, and makes the call again under its old key', async () => {
      const { model, acme } = await office()
      model.hold('t2')
      const maxWallMs = way === 'of a goal' ? 3_000 : 1_500 // long enough to plan and to take the first step
      const id = await start(acme, { maxWallMs })
      const suspended = await acme.ended(id)
      expect(suspended).toMatchObject({ status: 'suspended', completedTasks: 1, failedTasks: 0 })
      expect(suspended.suspendedReason).toMatch(/^limit_reached: .*maxWallMs/)
      expect(suspended.limitsUsed.wallMs).toBeGreaterThanOrEqual(maxWallMs - 100)
      await expect.poll(() => model.of('t2')[0]?.isBrokenOff).toBe(true)

      model.letGo('t2')
      await acme.post(`/executions/${id}/resume`, { limits: { maxWallMs: 600_000 } })
      const ended = await acme.ended(id)
      expect(ended.status).toBe('completed')
      expect(ended.limitsUsed.wallMs).toBeGreaterThanOrEqual(suspended.limitsUsed.wallMs)
      const [first, second] = model.of('t2').map(({ idempotencyKey }) => idempotencyKey)
      expect([first, second]).toEqual([`${id}/t2/0`, `${id}/t2/0`])
    })
  })
}

describe('limits', () => {
  test('that leave nothing out of bounds are none: {} at the beginning, and {} in a resume', async () => {
    const { acme } = await office()
    const free = await begin(acme, CHAIN, { limits: {} })
    expect(await acme.ended(free)).toMatchObject({ status: 'completed', limits: null, limitsUsed: null })

    const id = await begin(acme, CHAIN, { limits: { maxSteps: 1 } })
    await acme.ended(id)
    await acme.post(`/executions/${id}/resume`, { limits: {} })
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', limits: null, limitsUsed: null })
  })

  test('stay as they were when a resume names none, and suspend again', async () => {
    const { model, acme } = await office()
    const id = await begin(acme, CHAIN, { limits: { maxSteps: 2 } })
    await acme.ended(id)
    await acme.post(`/executions/${id}/resume`)
    expect(await acme.ended(id)).toMatchObject({ status: 'suspended', limits: { maxSteps: 2 }, completedTasks: 2 })
    expect(model.calls).toHaveLength(2)
  })

  test('count what was used before there were any', async () => {
    const { api, acme } = await office()
    const id = await begin(acme, CHAIN, { limits: { maxSteps: 3 } })
    expect((await acme.ended(id)).limitsUsed).toMatchObject({ ...usedInLedger(api, acme), tokens: 6_300, steps: 3 })
    await acme.post(`/executions/${id}/resume`, { limits: { maxTokens: 6_500 } })
    expect(await acme.ended(id)).toMatchObject({
      status: 'suspended',
      completedTasks: 3,
      totalUsage: { totalTokens: 6_300 },
    })
  })

  test('count a step again that is retried, but not the steps beside it', async () => {
    const { acme } = await office()
    const id = await begin(acme, { a: [], b: [] }, { limits: { maxSteps: 3 } })
    const { subSteps, limitsUsed } = await acme.ended(id)
    expect(limitsUsed.steps).toBe(2)
    const retry = (index: number) => acme.post(`/executions/${id}/sub-steps/${subSteps[index].id}/retry`)
    await retry(0)
    expect(await acme.ended(id)).toMatchObject({ status: 'completed', limitsUsed: { steps: 3 } })
    await retry(1)
    expect(await acme.ended(id)).toMatchObject({ status: 'suspended', completedTasks: 1, limitsUsed: { steps: 3 } })
  })

  test.each([
    { maxTokens: 1.5 },
    { maxSteps: -1 },
    { maxCostUsdMicros: '5' },
    { maxWallMs: 2_592_000_001 },
    { more: 1 },
  ])('must be whole, above 0 and known: not %j', async (limits) => {
    const { acme } = await office()
    const { status, body } = await acme.post('/dags/execute-definition', { definition: PLAN, limits })
    expect([status, body.code]).toEqual([400, 'validation_failed'])
  })

  test('may be as long as a month', async () => {
    const { acme } = await office()
    const limits = { maxWallMs: 30 * 24 * 3_600_000 }
    for (const start of Object.values(WAYS)) {
      const id = await start(acme, limits)
      expect(await acme.ended(id)).toMatchObject({ status: 'completed', limits })
    }
  })
})
