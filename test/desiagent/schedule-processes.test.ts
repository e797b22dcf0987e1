import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { ScheduleNotFound } from '#desiagent/errors.ts'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import type { DesiAgent } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import { openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { MINUTE_MS, Shared } from './firing-parts.ts'

const GOOD = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))
const MINUTELY = { cronSchedule: '* * * * *', missedRunPolicy: 'all', maxMissedRuns: 100 } as const

describe('several processes fire the same schedule at once', () => {
  test('each of its moments begins exactly one execution', async () => {
    const shared = await Shared.open()
    const desis = Array.from({ length: 4 }, (_, n) => shared.process(`process ${n}`))
    const [desi] = desis as [DesiAgent]
    const { id } = await desi.schedules.create({
      ...MINUTELY,
      dagId: await shared.dag(desi),
      overlapPolicy: 'cancel_previous',
    })
    for (let round = 0; round < 10; round += 1) {
      shared.clock.pass(3 * MINUTE_MS)
      await Promise.all([...desis, ...desis].map((one) => one.schedules.fire(id)))
    }
    await desi.schedules.fire(id) // what the last of them left to somebody who had gone
    const occurrences = await shared.occurrences(desi, id)
    expect(occurrences.map(({ status }) => status)).toEqual(Array(30).fill('started'))
    const begun = occurrences.map(({ executionId }) => executionId)
    expect(new Set(begun).size).toBe(30)
    expect(begun.toSorted()).toEqual((await shared.executionIds(desi, id)).toSorted())
  })

  test('with `skip` and `enqueue`, no two executions are under way at once', async () => {
    for (const overlapPolicy of ['skip', 'enqueue'] as const) {
      const shared = await Shared.open()
      const desis = Array.from({ length: 4 }, (_, n) => shared.process(`process ${n}`))
      const [desi] = desis as [DesiAgent]
      const { id } = await desi.schedules.create({ ...MINUTELY, dagId: await shared.dag(desi), overlapPolicy })
      shared.clock.pass(5 * MINUTE_MS)
      await Promise.all(desis.map((one) => one.schedules.fire(id)))
      await desi.schedules.fire(id)
      const statuses = (await shared.occurrences(desi, id)).map(({ status }) => status)
      expect(statuses).toEqual(['started', ...Array(4).fill(overlapPolicy === 'skip' ? 'skipped' : 'waiting')])
      expect((await shared.executionIds(desi, id)).length).toBe(1)
    }
  })

  test('while people change it: no moment is lost, none counts twice, and the index says when it comes up next', {
    timeout: 120_000,
  }, async () => {
    const change = fc.constantFrom<(desi: DesiAgent, id: string) => Promise<unknown>>(
      (desi, id) => desi.schedules.fire(id),
      (desi, id) => desi.schedules.fire(id),
      (desi, id) => desi.schedules.update(id, { cronSchedule: '*/1 * * * *' }), // the same moments in other words
      (desi, id) => desi.schedules.update(id, { cronSchedule: '* * * * *', timezone: 'Asia/Kolkata' }),
      (desi, id) => desi.schedules.update(id, { timezone: 'UTC', limits: { maxSteps: 5 } }),
      (desi, id) => desi.dags.update(id, { cronSchedule: '0-59 * * * *', dagTitle: 'New' }),
    )
    const rounds = fc.array(
      fc.record({ changes: fc.array(change, { minLength: 1, maxLength: 6 }), ms: fc.nat(90_000) }),
      {
        minLength: 3,
        maxLength: 8,
      },
    )
    await fc.assert(
      fc.asyncProperty(rounds, async (all) => {
        const shared = await Shared.open()
        const desis = [shared.process('a'), shared.process('b')] as const
        const dagId = await shared.dag(desis[0])
        await desis[0].dags.update(dagId, { cronSchedule: '* * * * *' })
        await desis[0].schedules.update(dagId, { ...MINUTELY, overlapPolicy: 'cancel_previous' })
        const start = shared.clock.now().getTime()
        for (const { changes, ms } of all) {
          shared.clock.pass(ms)
          await Promise.all(changes.map((act, index) => act(desis[index % 2] as DesiAgent, dagId)))
        }
        await desis[0].schedules.fire(dagId)
        const { nextRunAt } = await desis[0].schedules.get(dagId)
        const occurrences = await shared.occurrences(desis[0], dagId)
        const minutes = Math.floor((shared.clock.now().getTime() - start) / MINUTE_MS)
        const expected = Array.from({ length: minutes }, (_, n) => new Date(start + (n + 1) * MINUTE_MS).toISOString())
        expect(occurrences.map(({ scheduledAt }) => scheduledAt)).toEqual(expected)
        expect(occurrences.every(({ status }) => status === 'started')).toBe(true)
        expect((await shared.executionIds(desis[0], dagId)).length).toBe(minutes)
        expect(shared.index.rows.get(`schedule ${dagId}`)).toBe(nextRunAt)
        expect(nextRunAt).toBe(new Date(start + (minutes + 1) * MINUTE_MS).toISOString())
      }),
      { numRuns: 40 },
    )
  })
})

test('of changes that overtake each other on their way to the index, the index has what the schedule says', {
  timeout: 60_000,
}, async () => {
  const change = fc.constantFrom<(desi: DesiAgent, id: string) => Promise<unknown>>(
    (desi, id) => desi.schedules.fire(id),
    (desi, id) => desi.schedules.update(id, { cronSchedule: '0 0 1 1 *' }),
    (desi, id) => desi.schedules.update(id, { cronSchedule: '* * * * *' }),
    (desi, id) => desi.schedules.update(id, { scheduleActive: false }),
    (desi, id) => desi.schedules.update(id, { scheduleActive: true }),
    (desi, id) => desi.dags.update(id, { cronSchedule: null }),
    (desi, id) => desi.dags.update(id, { cronSchedule: '@daily' }),
  )
  const changes = fc.array(fc.tuple(change, fc.nat(8)), { minLength: 2, maxLength: 6 })
  const latencies = fc.infiniteStream(fc.constantFrom(0, 0, 1, 2, 5, 9))
  await fc.assert(
    fc.asyncProperty(changes, latencies, async (all, latency) => {
      const shared = await Shared.open()
      const desis = [shared.process('a'), shared.process('b')] as const
      const dagId = await shared.dag(desis[0])
      await desis[0].dags.update(dagId, { cronSchedule: '@hourly' })
      shared.index.latencyMs = () => latency.next().value
      const done = all.map(async ([act, afterMs], index) => {
        await new Promise((resolve) => setTimeout(resolve, afterMs))
        await act(desis[index % 2] as DesiAgent, dagId).catch(unlessGone)
      })
      await Promise.all(done)
      const { nextRunAt } = await desis[0].dags.get(dagId)
      expect(shared.index.rows.get(`schedule ${dagId}`) ?? null).toBe(nextRunAt)
    }),
    { numRuns: 100 },
  )
})

function unlessGone(error: unknown): void {
  if (!(error instanceof ScheduleNotFound)) throw error
}

describe('a goal that takes long to plan', () => {
  /** Processes whose models answer when they are told to. */
  async function planners(count: number, leaseMs: number) {
    const gates = Array.from({ length: count }, () => Promise.withResolvers<void>())
    const model = await openAiServer(async ({ authorization, task }): Promise<Reply> => {
      if (task === 'plan') await gates[Number(authorization?.at(-1))]?.promise
      return GOOD
    })
    const shared = await Shared.open()
    const start = Date.now()
    const clock = { aheadMs: 0 }
    const now = () => new Date(shared.clock.now().getTime() + Date.now() - start + clock.aheadMs)
    const desis = gates.map((_, n) => {
      const models = new Models({
        defaultProvider: 'openai',
        providers: { openai: { apiKey: `sk-${n}`, baseUrl: model.url } },
      })
      const settings = { maxParallelSubSteps: 4, stepTimeoutMs: 60_000, maxAttempts: 3, retryBaseMs: 5, leaseMs }
      const running = new RunningExecutions(`process ${n}`)
      return shared.process(`${n}`, {}, false, {
        models,
        now,
        running,
        settings: { ...settings, isSoleProcess: false },
      })
    })
    const [desi] = desis as [DesiAgent]
    const goal = { goalText: 'Say a', model: 'gpt-4o-mini' }
    const { id } = await desi.schedules.create({ cronSchedule: '0 0 1 1 *', goal })
    clock.aheadMs = 366 * 24 * 60 * MINUTE_MS
    const plannings = () => model.calls.filter(({ task }) => task === 'plan').length
    return { shared, desis, id, clock, letGo: (n: number) => gates[n]?.resolve(), plannings }
  }

  test('is planned by one process, however long it takes, and its execution begun once', async () => {
    const { shared, desis, id, letGo, plannings } = await planners(2, 200)
    const [a, b] = desis as [DesiAgent, DesiAgent]
    const first = a.schedules.fire(id)
    await expect.poll(plannings).toBe(1)
    for (let round = 0; round < 3; round += 1) {
      await new Promise((resolve) => setTimeout(resolve, 150))
      await Promise.all([b.schedules.fire(id), a.schedules.fire(id)])
    }
    letGo(0)
    await first
    expect(plannings()).toBe(1)
    expect(await shared.occurrences(a, id)).toMatchObject([{ status: 'started' }])
    expect((await shared.executionIds(a, id)).length).toBe(1)
  })

  test('is planned anew by another process when the first is dead; what the first says later begins nothing', async () => {
    const { shared, desis, id, clock, letGo, plannings } = await planners(2, 30_000)
    const [dead, alive] = desis as [DesiAgent, DesiAgent]
    const late = dead.schedules.fire(id)
    await expect.poll(plannings).toBe(1)
    await alive.schedules.fire(id)
    expect(plannings()).toBe(1)

    clock.aheadMs += 31_000 // nobody has renewed the lease
    letGo(1)
    await alive.schedules.fire(id)
    const [occurrence] = await shared.occurrences(alive, id)
    expect(occurrence?.status).toBe('started')

    letGo(0)
    await late
    expect(await shared.occurrences(alive, id)).toEqual([occurrence])
    expect(await shared.executionIds(alive, id)).toEqual([occurrence?.executionId])
  })

  test('is given up when three processes have died over it', async () => {
    const { shared, desis, id, clock, letGo, plannings } = await planners(4, 30_000)
    const dead: Promise<void>[] = []
    for (const [n, desi] of desis.slice(0, 3).entries()) {
      dead.push(desi.schedules.fire(id))
      await expect.poll(plannings).toBe(n + 1)
      clock.aheadMs += 31_000
    }
    const last = desis[3] as DesiAgent
    await last.schedules.fire(id)
    expect(await shared.occurrences(last, id)).toMatchObject([{ status: 'failed', reason: { code: 'interrupted' } }])
    for (const n of [0, 1, 2]) letGo(n)
    await Promise.all(dead)
    expect(plannings()).toBe(3)
    expect(await shared.executionIds(last, id)).toEqual([])
  })
})
