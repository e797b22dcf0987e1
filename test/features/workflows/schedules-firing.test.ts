import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { startApi } from '#test/support/start-api.ts'
import {
  allEnded,
  executionsOf,
  GOOD_PLAN,
  HOUR_MS,
  indexOf,
  MINUTE_MS,
  occurrencesOf,
  plannedDag,
  scheduled,
  slowWorker,
  startAtNoon,
  told,
} from './scheduling.ts'

describe('a schedule comes up', () => {
  test('and executes its DAG, once for each moment, with its limits and in the name of who made it', async () => {
    const { acme, api, pass } = await startAtNoon()
    const limits = { maxSteps: 50 }
    const schedule = await scheduled(acme, '*/5 * * * *', { limits })
    expect(schedule).toMatchObject({ nextRunAt: '2026-03-01T12:05:00.000Z', lastRunAt: null, limits })
    expect(await indexOf(api)).toEqual({ [schedule.id]: '2026-03-01T12:05:00.000Z' })

    await pass(5 * MINUTE_MS - 1)
    expect(await occurrencesOf(acme, schedule.id)).toEqual([])
    await pass(1)
    await allEnded(acme, schedule.id)
    await pass(1_000)
    await pass(5 * MINUTE_MS)

    const occurrences = await occurrencesOf(acme, schedule.id)
    expect(told(occurrences)).toEqual(['12:05 started', '12:10 started'])
    const executions = await executionsOf(acme, schedule.id)
    expect(executions.map(({ id }) => id)).toEqual(occurrences.map(({ executionId }) => executionId))
    for (const { id, dagId, createdBy } of executions) {
      expect([dagId, createdBy]).toEqual([schedule.dagId, acme.userId])
      expect(await acme.ended(id)).toMatchObject({ status: 'completed', scheduleId: schedule.id, limits })
    }
    expect((await acme.get(`/schedules/${schedule.id}`)).body).toMatchObject({
      nextRunAt: '2026-03-01T12:15:00.000Z',
      lastRunAt: '2026-03-01T12:10:01.000Z',
      updatedAt: schedule.updatedAt,
    })
    await pass(0) // the end of an execution has made it due, in case one waits
    expect(await indexOf(api)).toEqual({ [schedule.id]: '2026-03-01T12:15:00.000Z' })
  })

  test('of a goal, which is planned anew each time', async () => {
    const { acme, pass } = await startAtNoon()
    const goal = { goalText: 'Count the words of letter.txt', inputs: [{ name: 'letter.txt', content: 'dear all' }] }
    const schedule = await scheduled(acme, '@hourly', { goal })
    expect(schedule).toMatchObject({ dagId: null, goal, scheduleDescription: 'Every hour, every day' })

    await pass(HOUR_MS)
    await allEnded(acme, schedule.id)
    await pass(HOUR_MS)

    const occurrences = await occurrencesOf(acme, schedule.id)
    expect(told(occurrences)).toEqual(['13:00 started', '14:00 started'])
    expect(new Set(occurrences.map(({ dagId }) => dagId)).size).toBe(2)
    for (const { executionId, dagId } of occurrences) {
      const execution = await acme.ended(executionId as string)
      expect(execution).toMatchObject({ status: 'completed', dagId, scheduleId: schedule.id, createdBy: acme.userId })
    }
  })

  test('as a DAG’s own, too, which is in the list of schedules under the DAG’s id', async () => {
    const { acme, pass } = await startAtNoon()
    const dagId = await plannedDag(acme, { cronSchedule: '30 * * * *', timezone: 'Asia/Kolkata' })
    const { body: own } = await acme.get(`/schedules/${dagId}`)
    expect(own).toMatchObject({
      id: dagId,
      dagId,
      goal: null,
      cronSchedule: '30 * * * *',
      timezone: 'Asia/Kolkata',
      overlapPolicy: 'skip',
      missedRunPolicy: 'once',
      nextRunAt: '2026-03-01T13:00:00.000Z', // half past six in the evening in India
    })
    await pass(HOUR_MS)
    expect((await acme.get(`/dags/${dagId}`)).body).toMatchObject({
      nextRunAt: '2026-03-01T14:00:00.000Z',
      lastRunAt: '2026-03-01T13:00:00.000Z',
    })
    expect(told(await occurrencesOf(acme, dagId))).toEqual(['13:00 started'])
  })
})

describe('while an execution before it has not come to rest', () => {
  async function withHeldExecution(overlapPolicy: string, more: object = {}) {
    const worker = await slowWorker()
    const started = await startAtNoon({ env: worker.model.env })
    const { acme, pass } = started
    const schedule = await scheduled(acme, '* * * * *', { overlapPolicy, ...more })
    await pass(MINUTE_MS)
    await expect.poll(worker.inFlight).toBe(1)
    const [first] = await executionsOf(acme, schedule.id)
    const status = async (id: string) => (await acme.get(`/executions/${id}`)).body.status
    return { ...started, ...worker, schedule, first, status }
  }

  test('`skip` begins none, and says which one it is', async () => {
    const { acme, pass, schedule, first, letOneGo } = await withHeldExecution('skip')
    await pass(MINUTE_MS)
    const [, second] = await occurrencesOf(acme, schedule.id)
    expect(second).toMatchObject({ status: 'skipped', reason: { code: 'overlap' }, executionId: null })
    expect(second?.reason?.message).toContain(first.id)

    letOneGo()
    await acme.ended(first.id)
    await pass(MINUTE_MS)
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual([
      '12:01 started',
      '12:02 skipped overlap',
      '12:03 started',
    ])
  })

  test('`enqueue` begins it as soon as that has come to rest, one after the other', async () => {
    const { acme, api, pass, schedule, first, letOneGo, inFlight } = await withHeldExecution('enqueue')
    await pass(MINUTE_MS)
    await pass(MINUTE_MS)
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual([
      '12:01 started',
      '12:02 waiting overlap',
      '12:03 waiting overlap',
    ])
    letOneGo()
    await acme.ended(first.id)
    await api.api.tick() // not a moment later: the end of an execution makes its schedule due
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual([
      '12:01 started',
      '12:02 started',
      '12:03 waiting overlap',
    ])
    await expect.poll(inFlight).toBe(1)
    letOneGo()
    await acme.ended((await executionsOf(acme, schedule.id))[1].id)
    await api.api.tick()
    expect(told(await occurrencesOf(acme, schedule.id)).at(-1)).toBe('12:03 started')
  })

  test('at most 100 wait', async () => {
    const { acme, pass, schedule } = await withHeldExecution('enqueue', { missedRunPolicy: 'all', maxMissedRuns: 100 })
    await pass(105 * MINUTE_MS)
    const skipped = await occurrencesOf(acme, schedule.id, 'status=skipped')
    const waiting = await occurrencesOf(acme, schedule.id, 'status=waiting')
    expect(waiting.length).toBe(100)
    expect(skipped.map(({ reason }) => reason?.code)).toEqual([
      ...Array(3).fill('missed'),
      ...Array(2).fill('queue_full'),
    ])
  })

  test('one that waits is begun also when its schedule is deactivated meanwhile', async () => {
    const { acme, api, pass, schedule, first, letOneGo } = await withHeldExecution('enqueue')
    await pass(MINUTE_MS)
    await acme.patch(`/schedules/${schedule.id}`, { scheduleActive: false })
    letOneGo()
    await acme.ended(first.id)
    await api.api.tick()
    await pass(10 * MINUTE_MS)
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual(['12:01 started', '12:02 started'])
  })

  test('`cancel_previous` cancels it first', async () => {
    const { acme, pass, schedule, first, status } = await withHeldExecution('cancel_previous')
    await pass(MINUTE_MS)
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual(['12:01 started', '12:02 started'])
    expect(await status(first.id)).toBe('cancelled')
    const [, second] = await executionsOf(acme, schedule.id)
    expect(['pending', 'running']).toContain(await status(second.id))
  })

  test('a paused one holds it up', async () => {
    const { acme, pass, schedule, first, letOneGo, status } = await withHeldExecution('skip')
    await acme.post(`/executions/${first.id}/pause`)
    letOneGo()
    await expect.poll(() => status(first.id)).toBe('paused')
    await pass(MINUTE_MS)
    expect(told(await occurrencesOf(acme, schedule.id)).at(-1)).toBe('12:02 skipped overlap')
  })

  test('a suspended one rests: it holds nothing up', async () => {
    const model = await openAiServer(({ task }) => (task === 'plan' ? GOOD_PLAN : { status: 401 }))
    const { acme, pass } = await startAtNoon({ env: model.env })
    const schedule = await scheduled(acme, '* * * * *', { overlapPolicy: 'enqueue' })
    await pass(MINUTE_MS)
    await allEnded(acme, schedule.id)
    await pass(MINUTE_MS)
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual(['12:01 started', '12:02 started'])
    expect((await executionsOf(acme, schedule.id))[0].status).toBe('suspended')
  })

  test('executions of other schedules, and those people begin, hold nothing up', async () => {
    const { acme, pass, schedule } = await withHeldExecution('skip')
    const other = await scheduled(acme, '* * * * *', { dagId: schedule.dagId })
    await acme.post(`/dags/${schedule.dagId}/execute`)
    await pass(MINUTE_MS)
    expect(told(await occurrencesOf(acme, other.id))).toEqual(['12:02 started'])
  })
})

describe('while a goal is planned', () => {
  /** The first planner takes until it is told to answer, or until the server stops. */
  async function withSlowPlanner(cronSchedule: string, more: object = {}) {
    const gate = Promise.withResolvers<void>()
    let asked = 0
    const worker = await slowWorker(async () => {
      asked += 1
      if (asked === 1) await gate.promise
      return GOOD_PLAN
    })
    const started = await startAtNoon({ env: worker.model.env, overrides: { engine: { leaseMs: 150 } } })
    const schedule = await scheduled(started.acme, cronSchedule, { goal: { goalText: 'Write about the sea' }, ...more })
    started.clock.pass(HOUR_MS)
    const tick = started.api.api.tick()
    await expect.poll(() => asked).toBe(1)
    return { ...started, env: worker.model.env, schedule, tick, letGo: gate.resolve }
  }

  test('what comes up is not taken for missed, and overlaps with what is being planned', async () => {
    const { acme, clock, schedule, tick, letGo } = await withSlowPlanner('*/5 * * * *', { missedRunPolicy: 'skip' })
    for (let moments = 1; moments <= 3; moments += 1) {
      clock.pass(5 * MINUTE_MS)
      await expect.poll(() => occurrencesOf(acme, schedule.id, 'status=due')).toHaveLength(1 + moments)
    }
    letGo()
    await tick
    expect(told(await occurrencesOf(acme, schedule.id)).slice(-4)).toEqual([
      '13:00 started',
      '13:05 skipped overlap',
      '13:10 skipped overlap',
      '13:15 skipped overlap',
    ])
  })

  test('a server that is stopped has not tried: the next one plans it anew', async () => {
    const { acme, api: first, clock, schedule, tick, env } = await withSlowPlanner('@hourly')
    await first.close()
    await tick
    const api = await startApi({ env, dataDir: first.dataDir, overrides: { now: clock.now } })
    await api.api.tick()
    expect(told(await occurrencesOf(api.client(acme.key), schedule.id))).toEqual(['13:00 started'])
    const file = new Database(`${api.dataDir}/tenants/${acme.tenantId}/agent.db`, { readonly: true })
    expect(file.prepare('select attempts from schedule_occurrences').pluck().get()).toBe(1)
    file.close()
  })
})

describe('moments that passed while no server could begin them', () => {
  /** A schedule of every five minutes, after a server was down for half an hour. */
  async function afterDowntime(more: object, downMs = 30 * MINUTE_MS) {
    const first = await startAtNoon()
    const schedule = await scheduled(first.acme, '*/5 * * * *', { overlapPolicy: 'enqueue', ...more })
    await first.api.close()
    const { clock } = first
    clock.pass(downMs)
    const api = await startApi({ dataDir: first.api.dataDir, overrides: { now: clock.now } })
    const acme = api.client(first.acme.key)
    await api.api.tick()
    await allEnded(acme, schedule.id)
    return { api, acme, clock, schedule, occurrences: await occurrencesOf(acme, schedule.id) }
  }

  test('`skip` begins none of them', async () => {
    const { occurrences } = await afterDowntime({ missedRunPolicy: 'skip' }, 22 * MINUTE_MS)
    expect(told(occurrences)).toEqual([
      '12:05 skipped missed',
      '12:10 skipped missed',
      '12:15 skipped missed',
      '12:20 skipped missed',
    ])
  })

  test('`once` begins the newest', async () => {
    const { occurrences } = await afterDowntime({ missedRunPolicy: 'once' }, 22 * MINUTE_MS)
    expect(told(occurrences)).toEqual([
      '12:05 skipped missed',
      '12:10 skipped missed',
      '12:15 skipped missed',
      '12:20 started',
    ])
  })

  test('`all` begins the newest, as many as it says, one after the other', async () => {
    const { api, acme, schedule, occurrences } = await afterDowntime(
      { missedRunPolicy: 'all', maxMissedRuns: 3 },
      22 * MINUTE_MS,
    )
    expect(told(occurrences).slice(0, 2)).toEqual(['12:05 skipped missed', '12:10 started'])
    for (let round = 0; round < 3; round += 1) {
      await allEnded(acme, schedule.id)
      await api.api.tick()
    }
    expect(told(await occurrencesOf(acme, schedule.id))).toEqual([
      '12:05 skipped missed',
      '12:10 started',
      '12:15 started',
      '12:20 started',
    ])
    expect((await executionsOf(acme, schedule.id)).length).toBe(3)
  })

  test('what is not more than a minute late is not missed', async () => {
    const onTime = await afterDowntime({ missedRunPolicy: 'skip' }, 6 * MINUTE_MS)
    expect(told(onTime.occurrences)).toEqual(['12:05 started'])
    const late = await afterDowntime({ missedRunPolicy: 'skip' }, 6 * MINUTE_MS + 1)
    expect(told(late.occurrences)).toEqual(['12:05 skipped missed'])
  })

  test('the newest hundred have a row each, those before them one together, counted as far as 1,000', async () => {
    const minutely = { cronSchedule: '* * * * *', missedRunPolicy: 'once' }
    const { acme, schedule } = await afterDowntime(minutely, 365 * 24 * HOUR_MS + 500)
    const page = await acme.get(`/schedules/${schedule.id}/occurrences?limit=100&includeTotal=true`)
    // On time, which makes up for the others; a hundred rows, and one for the rest.
    expect(page.body.pagination.total).toBe(102)
    const rest = await acme.get(`/schedules/${schedule.id}/occurrences?limit=100&offset=100`)
    expect(told(rest.body.data.toReversed())).toEqual(['10:19 skipped missed 1000', '10:20 skipped missed'])
    expect((await acme.get(`/schedules/${schedule.id}`)).body.nextRunAt).toBe('2027-03-01T12:01:00.000Z')
  })

  test('a schedule that is activated again misses nothing', async () => {
    const { acme, pass } = await startAtNoon()
    const schedule = await scheduled(acme, '*/5 * * * *', { missedRunPolicy: 'all', scheduleActive: false })
    expect(schedule.nextRunAt).toBeNull()
    await pass(HOUR_MS)
    const { body } = await acme.patch(`/schedules/${schedule.id}`, { scheduleActive: true })
    expect(body.nextRunAt).toBe('2026-03-01T13:05:00.000Z')
    await pass(1_000)
    expect(await occurrencesOf(acme, schedule.id)).toEqual([])
  })
})

describe('what has come up', () => {
  test('is not lost when the schedule is changed before anybody looked', async () => {
    const { acme, clock, api } = await startAtNoon()
    const changes = [
      { cronSchedule: '0 0 1 1 *' },
      { timezone: 'Asia/Tokyo' },
      { scheduleActive: false },
      { cronSchedule: '*/5 * * * *', overlapPolicy: 'cancel_previous' },
    ]
    for (const change of changes) {
      const schedule = await scheduled(acme, '*/5 * * * *')
      clock.pass(Date.parse(schedule.nextRunAt) - clock.now().getTime() + 20_000)
      expect((await acme.patch(`/schedules/${schedule.id}`, change)).status).toBe(200)
      await api.api.tick()
      expect(told(await occurrencesOf(acme, schedule.id)), JSON.stringify(change)).toEqual([
        expect.stringMatching(/ started$/),
      ])
    }
  })

  test('is not lost when the DAG is given another schedule before anybody looked', async () => {
    const { acme, clock, api } = await startAtNoon()
    const dagId = await plannedDag(acme, { cronSchedule: '*/5 * * * *' })
    clock.pass(5 * MINUTE_MS + 20_000)
    await acme.patch(`/dags/${dagId}`, { cronSchedule: '0 0 1 1 *' })
    await api.api.tick()
    expect(told(await occurrencesOf(acme, dagId))).toEqual(['12:05 started'])
  })

  test('is kept for the newest 1,000 moments', async () => {
    const { acme, api, pass } = await startAtNoon()
    const schedule = await scheduled(acme, '0 * * * *')
    const file = new Database(`${api.dataDir}/tenants/${acme.tenantId}/agent.db`)
    const insert = file.prepare(
      `insert into schedule_occurrences (id, schedule_id, scheduled_at, status, missed_count, attempts, created_at, updated_at)
       values (?, ?, ?, 'started', 0, 1, 'x', 'x')`,
    )
    for (let n = 0; n < 1_005; n += 1)
      insert.run(crypto.randomUUID(), schedule.id, new Date(Date.UTC(2026, 0, 1) + n * MINUTE_MS).toISOString())
    file.close()
    await pass(HOUR_MS)
    const { body } = await acme.get(`/schedules/${schedule.id}/occurrences?limit=1&includeTotal=true`)
    expect(body.pagination.total).toBe(1_000)
    expect(told(body.data)).toEqual(['13:00 started'])
  })
})

describe('what stands in the way is written down, and the next moment is tried again', () => {
  const failedWith = async (acme: Parameters<typeof occurrencesOf>[0], scheduleId: string) =>
    (await occurrencesOf(acme, scheduleId)).map(({ status, reason }) => [status, reason?.code])

  test('a DAG without a plan', async () => {
    const { acme, pass } = await startAtNoon()
    const { body } = await acme.post('/dags', { goalText: 'Do it', cronSchedule: '@hourly' })
    expect(body.status).toBe('clarification_required')
    await pass(HOUR_MS)
    expect(await failedWith(acme, body.dagId)).toEqual([['failed', 'dag_not_executable']])

    await acme.post(`/dags/${body.dagId}/resume-clarification`, { userResponse: 'Count the words of "a b c"' })
    await pass(HOUR_MS)
    expect(told(await occurrencesOf(acme, body.dagId)).at(-1)).toBe('14:00 started')
  })

  test('a goal about which the planner asks, and one for which no plan comes out', async () => {
    const worker = await slowWorker(({ messages }) => {
      if (messages[0]?.includes('unclear'))
        return JSON.stringify({
          ...JSON.parse(GOOD_PLAN),
          clarification_needed: true,
          clarification_query: 'Which one?',
        })
      return 'no plan'
    })
    const { acme, pass } = await startAtNoon({ env: worker.model.env })
    const unclear = await scheduled(acme, '@hourly', { goal: { goalText: 'unclear' } })
    const hopeless = await scheduled(acme, '@hourly', { goal: { goalText: 'hopeless' } })
    await pass(HOUR_MS)

    const [asked] = await occurrencesOf(acme, unclear.id)
    expect(asked).toMatchObject({ status: 'failed', reason: { code: 'clarification_required' }, executionId: null })
    expect(asked?.reason?.message).toContain('Which one?')
    const [failed] = await occurrencesOf(acme, hopeless.id)
    expect(failed).toMatchObject({ status: 'failed', reason: { code: 'plan_invalid' } })
    for (const { dagId } of [asked, failed] as { dagId: string }[])
      expect((await acme.get(`/dags/${dagId}`)).status).toBe(200)
  })

  test('a planner that is out of reach', async () => {
    const worker = await slowWorker(() => ({ status: 401 }))
    const { acme, pass } = await startAtNoon({ env: worker.model.env })
    const schedule = await scheduled(acme, '@hourly', { goal: { goalText: 'anything' } })
    await pass(HOUR_MS)
    expect(await failedWith(acme, schedule.id)).toEqual([['failed', 'key_refused']])
  })

  test('a quota that is used up, before anything is planned', async () => {
    const { acme, api, pass } = await startAtNoon()
    const dag = await scheduled(acme, '@hourly')
    const goal = await scheduled(acme, '@hourly', { goal: { goalText: 'Count the words of "a b"' } })
    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { quotas: { maxExecutionsPerMonth: 0 } })
    await pass(HOUR_MS)
    for (const { id } of [dag, goal]) expect(await failedWith(acme, id)).toEqual([['failed', 'quota_exceeded']])
    expect((await acme.get('/dags')).body.data.length).toBe(1)
  })

  test('limits that cannot be kept are refused at once, because nobody knows the price of the model', async () => {
    const worker = await slowWorker()
    const env = { ...worker.model.env, LLM_MODEL: 'no-such-model' }
    const { acme } = await startAtNoon({ env })
    const schedule = await scheduled(acme, '@hourly')
    const limits = { maxCostUsdMicros: 1_000 }
    const unpriced = { status: 422, body: { code: 'unpriced_model' } }
    expect(await acme.patch(`/schedules/${schedule.id}`, { limits })).toMatchObject(unpriced)
    const goal = { goalText: 'x', model: 'another-unknown' }
    expect(await acme.post('/schedules', { goal, cronSchedule: '@hourly', limits })).toMatchObject(unpriced)
  })

  test('a suspended tenant: its moments are skipped, and it goes on when the tenant is active again', async () => {
    const { acme, api, pass } = await startAtNoon()
    const dag = await scheduled(acme, '@hourly')
    const goal = await scheduled(acme, '@hourly', { goal: { goalText: 'Count the words of "a b"' } })
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
    await pass(HOUR_MS)
    await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/resume`)
    await pass(HOUR_MS)
    for (const { id } of [dag, goal]) {
      expect(told(await occurrencesOf(acme, id))).toEqual(['13:00 skipped tenant_suspended', '14:00 started'])
    }
  })
})
