import fc from 'fast-check'
import { expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { statusesOf, typesOf } from './stepwise.ts'

type Tenant = Awaited<ReturnType<TestApi['tenant']>>

interface StepSketch {
  after: number[]
  delayMs: number
  /** How often it is refused before it is answered: for good, or until somebody resumes it. */
  refusals: (400 | 401)[]
}

type Wish = { afterMs: number; does: 'pause' | 'resume' | 'cancel' } | { afterMs: number; does: 'retry'; step: number }

const randomSteps: fc.Arbitrary<StepSketch[]> = fc.array(
  fc.record({
    after: fc.array(fc.nat(), { maxLength: 2 }),
    delayMs: fc.nat({ max: 25 }),
    refusals: fc.oneof(
      { weight: 4, arbitrary: fc.constant<(400 | 401)[]>([]) },
      { weight: 1, arbitrary: fc.array(fc.constantFrom(400 as const, 401 as const), { maxLength: 2 }) },
    ),
  }),
  { minLength: 1, maxLength: 6 },
)

const afterMs = fc.nat({ max: 30 })
const randomWishes: fc.Arbitrary<Wish[]> = fc.array(
  fc.oneof(
    { weight: 4, arbitrary: fc.record({ afterMs, does: fc.constantFrom('pause' as const, 'resume' as const) }) },
    { weight: 2, arbitrary: fc.record({ afterMs, does: fc.constant('retry' as const), step: fc.nat() }) },
    { weight: 1, arbitrary: fc.record({ afterMs, does: fc.constant('cancel' as const) }) },
  ),
  { maxLength: 10 },
)

const OVER = ['completed', 'cancelled']

test('however often and whenever an execution is paused, resumed, retried and cancelled, all that is told of it agrees', async () => {
  const sketches = new Map<string, StepSketch>()
  const model = await heldModel(({ messages: [prompt = ''], idempotencyKey }) => {
    const { delayMs = 0, refusals = [] } = sketches.get(prompt) ?? {}
    const retry = Number(idempotencyKey?.split('/').at(-1))
    const status = refusals[retry]
    return status ? { status } : { text: 'ok', delayMs }
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  let runs = 0

  await fc.assert(
    fc.asyncProperty(
      randomSteps,
      randomWishes,
      fc.option(fc.constant({ maxTokens: 100_000, maxSteps: 1_000 })),
      async (steps, wishes, limits) => {
        runs += 1
        const tasks = steps.map(({ after }, index) => ({
          id: `t${index}`,
          prompt: `run ${runs} step ${index}`,
          dependencies: index === 0 ? [] : [...new Set(after.map((number) => `t${number % index}`))],
        }))
        for (const [index, step] of steps.entries()) sketches.set(`run ${runs} step ${index}`, step)
        const body = { definition: planOf(tasks), ...(limits ? { limits } : {}) }
        const { id } = (await acme.post('/dags/execute-definition', body)).body
        for (const wish of wishes) await fulfil(acme, id, wish)
        await bringToAnEnd(acme, id)
        await assertAgreement(api, acme, id)
        const answered = model.calls.filter((call) => call.idempotencyKey?.startsWith(id) && !call.isBrokenOff)
        const good = answered.map(({ idempotencyKey }) => idempotencyKey)
        expect(good.length, 'calls that were answered are never made again').toBe(new Set(good).size)
      },
    ),
    { numRuns: 30, verbose: true },
  )
}, 120_000)

async function fulfil(acme: Tenant, id: string, wish: Wish): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, wish.afterMs))
  if (wish.does !== 'retry') {
    const { status } = await acme.post(`/executions/${id}/${wish.does}`)
    expect([200, 202, 409]).toContain(status)
    return
  }
  const { subSteps } = (await acme.get(`/executions/${id}/details`)).body
  const { id: step } = subSteps[wish.step % subSteps.length]
  expect([202, 409]).toContain((await acme.post(`/executions/${id}/sub-steps/${step}/retry`)).status)
}

/** Resumes it until it has completed, unless it was cancelled. */
async function bringToAnEnd(acme: Tenant, id: string): Promise<void> {
  for (let times = 0; times < 20; times += 1) {
    const { status, pauseRequestedAt } = (await acme.get(`/executions/${id}`)).body
    if (OVER.includes(status)) return
    if (status === 'paused' || pauseRequestedAt !== null) await acme.post(`/executions/${id}/resume`)
    const ended = await acme.ended(id)
    expect(statusesOf(ended)).not.toContain('running')
    if (!OVER.includes(ended.status)) expect((await acme.post(`/executions/${id}/resume`)).status).toBe(202)
  }
  throw new Error('it never ends')
}

async function assertAgreement(api: TestApi, acme: Tenant, id: string): Promise<void> {
  const { subSteps, ...execution } = (await acme.get(`/executions/${id}/details`)).body
  const count = (status: string) => subSteps.filter((step: { status: string }) => step.status === status).length
  expect(execution).toMatchObject({
    completedTasks: count('completed'),
    failedTasks: count('failed'),
    skippedTasks: count('skipped'),
    pauseRequestedAt: null,
  })
  expect(count('pending') + count('running')).toBe(0)
  const types = await typesOf(acme, id)
  expect(types.at(-1)).toBe(execution.status)
  expect(types.filter((type) => type === 'started').length).toBeLessThanOrEqual(1)
  if (execution.status === 'completed')
    expect(types.filter((type) => type === 'task_completed').length).toBeGreaterThanOrEqual(subSteps.length)

  const row = await api.api.stores.homes.use(acme.tenantId, (db) =>
    db.selectFrom('executions').selectAll().where('id', '=', id).executeTakeFirstOrThrow(),
  )
  expect(row).toMatchObject({ lease_owner: null, pause_requested_at: null })
  const reserved = async () =>
    api.api.stores.homes.use(acme.tenantId, (db) =>
      db
        .selectFrom('executions')
        .select(['reserved_tokens', 'reserved_cost_usd_micros'])
        .where('id', '=', id)
        .executeTakeFirst(),
    )
  await expect.poll(reserved).toEqual({ reserved_tokens: 0, reserved_cost_usd_micros: 0 })
  const due = async () =>
    api.api.stores.control.selectFrom('due_work').select('kind').where('subject_id', '=', id).execute()
  await expect.poll(due).toEqual([])
}
