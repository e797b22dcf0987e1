import Database from 'better-sqlite3'
import { describe, expect, test } from 'vitest'
import { allEnded, HOUR_MS, indexOf, MINUTE_MS, plannedDag, scheduled, startAtNoon } from './scheduling.ts'

const NOBODY = crypto.randomUUID()
const GOAL = { goalText: 'Count the words of "a b c"' }

describe('a schedule', () => {
  test('is what was asked for, with defaults, and in the answer of every read', async () => {
    const { acme } = await startAtNoon()
    const dagId = await plannedDag(acme)
    const schedule = await scheduled(acme, '30 8 * * 1-5', { dagId, timezone: 'Europe/Berlin' })
    expect(schedule).toEqual({
      id: expect.any(String),
      dagId,
      goal: null,
      cronSchedule: '30 8 * * 1-5',
      timezone: 'Europe/Berlin',
      scheduleActive: true,
      scheduleDescription: 'At 08:30, Monday through Friday',
      overlapPolicy: 'skip',
      missedRunPolicy: 'once',
      maxMissedRuns: 10,
      limits: null,
      nextRunAt: '2026-03-02T07:30:00.000Z',
      lastRunAt: null,
      createdBy: acme.userId,
      createdAt: '2026-03-01T12:00:00.000Z',
      updatedAt: '2026-03-01T12:00:00.000Z',
    })
    expect((await acme.get(`/schedules/${schedule.id}`)).body).toEqual(schedule)
    expect((await acme.get('/schedules')).body.data).toEqual([schedule])
    expect((await acme.get(`/dags/${dagId}`)).body).toMatchObject({ cronSchedule: null, nextRunAt: null }) // not its own
  })

  test('is made once by a call that is repeated with the same key', async () => {
    const { acme } = await startAtNoon()
    const wanted = { goal: GOAL, cronSchedule: '@daily' }
    const twice = []
    for (const _ of ['first', 'again']) twice.push(await acme.post('/schedules', wanted, { 'idempotency-key': 'k' }))
    expect(twice.map(({ status }) => status)).toEqual([201, 201])
    expect(twice[1]?.body).toEqual(twice[0]?.body)
    expect((await acme.get('/schedules')).body.data.length).toBe(1)
  })

  test('is refused when it could never begin anything', async () => {
    const { acme, api } = await startAtNoon()
    const dagId = await plannedDag(acme)
    const { body: asking } = await acme.post('/dags', { goalText: 'Do it' })
    const at = { cronSchedule: '@daily' }
    const refused: [object, number, string][] = [
      [{ ...at }, 400, 'validation_failed'],
      [{ ...at, dagId, goal: GOAL }, 400, 'validation_failed'],
      [{ ...at, goal: GOAL, maxMissedRuns: 101 }, 400, 'validation_failed'],
      [{ ...at, goal: GOAL, limits: { maxSteps: 0 } }, 400, 'validation_failed'],
      [{ ...at, goal: { ...GOAL, cronSchedule: '@daily' } }, 400, 'validation_failed'],
      [{ ...at, dagId: NOBODY }, 404, 'dag_not_found'],
      [{ ...at, dagId: asking.dagId }, 422, 'schedule_invalid'],
      [{ ...at, goal: { ...GOAL, agentName: 'nobody' } }, 404, 'agent_not_found'],
      [{ ...at, goal: { ...GOAL, provider: 'anthropic' } }, 422, 'provider_not_configured'],
      [{ cronSchedule: '0 0 30 2 *', dagId }, 422, 'schedule_invalid'],
      [{ cronSchedule: '* * * * * *', dagId }, 422, 'schedule_invalid'],
      [{ ...at, dagId, timezone: 'Mars/Olympus' }, 422, 'schedule_invalid'],
    ]
    for (const [body, status, code] of refused) {
      expect(await acme.post('/schedules', body), JSON.stringify(body)).toMatchObject({ status, body: { code } })
    }
    expect((await acme.get('/schedules')).body.data).toEqual([])
    expect(await indexOf(api)).toEqual({})
  })

  test('is changed field by field, and what is left out stays', async () => {
    const { acme, api, clock } = await startAtNoon()
    const schedule = await scheduled(acme, '@daily', { goal: GOAL, limits: { maxSteps: 5 } })
    const path = `/schedules/${schedule.id}`
    let expected = schedule
    const changes: [object, object][] = [
      [{}, {}],
      [{ overlapPolicy: 'enqueue' }, {}],
      [{ missedRunPolicy: 'all', maxMissedRuns: 7 }, {}],
      [{ goal: { goalText: 'Something else' } }, {}],
      [{ limits: null }, {}],
      [{ limits: { maxTokens: 100 } }, {}],
      [{ timezone: 'Asia/Kolkata' }, { nextRunAt: '2026-03-01T18:30:00.000Z' }],
      [
        { cronSchedule: '15 * * * *' },
        {
          nextRunAt: '2026-03-01T12:45:00.000Z',
          scheduleDescription: 'At 15 minutes past the hour, every hour, every day',
        },
      ],
      [{ scheduleActive: false }, { nextRunAt: null }],
      [{ cronSchedule: '@hourly' }, { scheduleDescription: 'Every hour, every day' }],
      [{ scheduleActive: true }, { nextRunAt: '2026-03-01T12:30:00.000Z' }],
    ]
    for (const [change, alsoChanges] of changes) {
      clock.pass(1)
      const { status, body } = await acme.patch(path, change)
      expected = { ...expected, ...change, ...alsoChanges, updatedAt: clock.now().toISOString() }
      expect(status, JSON.stringify(change)).toBe(200)
      expect(body).toEqual(expected)
      expect((await acme.get(path)).body).toEqual(expected)
      const { nextRunAt } = body
      expect(await indexOf(api), JSON.stringify(change)).toEqual(nextRunAt === null ? {} : { [schedule.id]: nextRunAt })
    }
  })

  test('is not changed to what could never begin anything, nor half', async () => {
    const { acme, api } = await startAtNoon()
    const ofGoal = await scheduled(acme, '@daily', { goal: GOAL })
    const ofDag = await scheduled(acme, '@daily')
    const index = await indexOf(api)
    const refused: [string, object, number][] = [
      [ofGoal.id, { overlapPolicy: 'enqueue', cronSchedule: '0 0 30 2 *' }, 422],
      [ofGoal.id, { overlapPolicy: 'enqueue', timezone: '+02:00' }, 422],
      [ofGoal.id, { goal: { ...GOAL, agentName: 'nobody' } }, 404],
      [ofGoal.id, { dagId: ofDag.dagId }, 400],
      [ofDag.id, { goal: GOAL }, 422],
      [NOBODY, { scheduleActive: false }, 404],
    ]
    for (const [id, change, status] of refused) {
      expect((await acme.patch(`/schedules/${id}`, change)).status, JSON.stringify(change)).toBe(status)
    }
    expect((await acme.get('/schedules')).body.data).toEqual([ofDag, ofGoal].toSorted((a, b) => (a.id < b.id ? 1 : -1)))
    expect(await indexOf(api)).toEqual(index)
  })

  test('is deleted with its occurrences; what it began stays', async () => {
    const { acme, api, pass } = await startAtNoon()
    const schedule = await scheduled(acme, '@hourly')
    await pass(HOUR_MS)
    const [execution] = (await acme.get(`/executions?scheduleId=${schedule.id}`)).body.data
    await acme.ended(execution.id)

    expect((await acme.delete(`/schedules/${schedule.id}`)).status).toBe(204)
    for (const path of ['', '/occurrences', '/next-runs']) {
      expect((await acme.get(`/schedules/${schedule.id}${path}`)).status).toBe(404)
    }
    expect((await acme.delete(`/schedules/${schedule.id}`)).status).toBe(404)
    await pass(HOUR_MS)
    expect((await acme.get(`/executions/${execution.id}`)).status).toBe(200)
    expect((await acme.get(`/executions?scheduleId=${schedule.id}`)).body.data.length).toBe(1)
    expect(await indexOf(api)).toEqual({})
  })

  test('goes with its DAG', async () => {
    const { acme, api } = await startAtNoon()
    const dagId = await plannedDag(acme, { cronSchedule: '@daily' })
    await scheduled(acme, '@hourly', { dagId })
    expect(Object.keys(await indexOf(api)).length).toBe(2)
    expect((await acme.delete(`/dags/${dagId}`)).status).toBe(204)
    expect((await acme.get('/schedules')).body.data).toEqual([])
    expect(await indexOf(api)).toEqual({})
  })

  test('has room beside 999 others, and not beside 1,000, wherever it is made', async () => {
    const { acme, api } = await startAtNoon()
    const first = await scheduled(acme, '@daily', { goal: GOAL })
    const dagId = await plannedDag(acme)
    const file = new Database(`${api.dataDir}/tenants/${acme.tenantId}/agent.db`)
    const columns = (file.pragma('table_info(schedules)') as { name: string }[]).map(({ name }) => name)
    const copied = columns.map((name) => (name === 'id' ? '?' : name))
    const copy = file.prepare(`insert into schedules (${columns}) select ${copied} from schedules where id = ?`)
    for (let n = 0; n < 997; n += 1) copy.run(crypto.randomUUID(), first.id)
    file.close()

    const makers = [
      () => acme.post('/schedules', { goal: GOAL, cronSchedule: '@daily' }),
      () => acme.patch(`/dags/${dagId}`, { cronSchedule: '@daily' }),
      () => acme.post('/dags', { ...GOAL, cronSchedule: '@daily' }),
    ]
    const all = await Promise.all([...makers, ...makers].map((make) => make()))
    const refused = all.filter(({ status }) => status === 409)
    expect((await acme.get('/schedules?includeTotal=true&limit=1')).body.pagination.total).toBe(1_000)
    expect(refused.length).toBeGreaterThanOrEqual(3)
    for (const { body } of refused)
      expect(body).toMatchObject({ code: 'too_many_schedules', details: { limit: 1_000 } })
    expect(Object.keys(await indexOf(api)).length).toBe(1_000 - 997)
  })
})

describe('a DAG’s own schedule', () => {
  test('is one and the same wherever it is changed', async () => {
    const { acme } = await startAtNoon()
    const dagId = await plannedDag(acme, { cronSchedule: '@daily' })
    await acme.patch(`/schedules/${dagId}`, {
      cronSchedule: '@hourly',
      overlapPolicy: 'enqueue',
      limits: { maxSteps: 3 },
    })
    expect((await acme.get(`/dags/${dagId}`)).body).toMatchObject({
      cronSchedule: '@hourly',
      scheduleDescription: 'Every hour, every day',
      nextRunAt: '2026-03-01T13:00:00.000Z',
    })
    await acme.patch(`/dags/${dagId}`, { timezone: 'Asia/Kolkata', dagTitle: 'Renamed' })
    expect((await acme.get(`/schedules/${dagId}`)).body).toMatchObject({
      cronSchedule: '@hourly',
      timezone: 'Asia/Kolkata',
      overlapPolicy: 'enqueue',
      limits: { maxSteps: 3 },
      nextRunAt: '2026-03-01T12:30:00.000Z',
    })
    expect((await acme.get('/dags')).body.data[0]).toMatchObject({ cronSchedule: '@hourly', timezone: 'Asia/Kolkata' })

    expect((await acme.delete(`/schedules/${dagId}`)).status).toBe(204)
    expect((await acme.get(`/dags/${dagId}`)).body).toMatchObject({
      cronSchedule: null,
      timezone: 'UTC',
      nextRunAt: null,
    })
    expect((await acme.get('/dags/scheduled')).body.data).toEqual([])
    expect((await acme.patch(`/dags/${dagId}`, { cronSchedule: '@weekly' })).body).toMatchObject({
      scheduleActive: true,
    })
    expect((await acme.get(`/schedules/${dagId}`)).body).toMatchObject({ overlapPolicy: 'skip', limits: null })
  })

  test('is taken away together with its place in the index', async () => {
    const { acme, api } = await startAtNoon()
    const dagId = await plannedDag(acme, { cronSchedule: '@daily' })
    expect(Object.keys(await indexOf(api))).toEqual([dagId])
    await acme.patch(`/dags/${dagId}`, { cronSchedule: null })
    expect((await acme.get(`/schedules/${dagId}`)).status).toBe(404)
    expect(await indexOf(api)).toEqual({})
  })
})

describe('the list', () => {
  test('is filtered by DAG and by whether they are active, page by page', async () => {
    const { acme, clock } = await startAtNoon()
    const dagId = await plannedDag(acme, { cronSchedule: '@daily' })
    const made: string[] = [dagId]
    for (let n = 0; n < 5; n += 1) {
      clock.pass(1)
      const what = n % 2 === 0 ? { dagId } : { goal: GOAL }
      made.unshift((await scheduled(acme, '@daily', { ...what, scheduleActive: n < 3 })).id)
    }
    const ids = async (query: string) => {
      const { status, body } = await acme.get(`/schedules?${query}`)
      expect(status, query).toBe(200)
      return { ids: body.data.map(({ id }: { id: string }) => id), ...body.pagination }
    }
    expect((await ids('')).ids).toEqual(made)
    expect((await ids(`dagId=${dagId}`)).ids).toEqual([made[0], made[2], made[4], made[5]])
    expect((await ids('active=false')).ids).toEqual(made.slice(0, 2))
    expect((await ids(`active=true&dagId=${dagId}`)).ids).toEqual([made[2], made[4], made[5]])
    expect((await ids(`dagId=${NOBODY}`)).ids).toEqual([])
    const first = await ids('limit=4&includeTotal=true')
    expect(first.total).toBe(6)
    expect((await ids(`limit=4&cursor=${first.nextCursor}`)).ids).toEqual(made.slice(4))
    for (const query of ['active=yes', 'dagId=x', 'status=active']) {
      expect((await acme.get(`/schedules?${query}`)).status).toBe(400)
    }
  })

  test('of occurrences goes back from the newest, page by page, while new ones come in', async () => {
    const { acme, pass } = await startAtNoon()
    const schedule = await scheduled(acme, '* * * * *', { missedRunPolicy: 'skip' })
    await pass(7 * MINUTE_MS + 30_000)
    const page = async (query: string) => (await acme.get(`/schedules/${schedule.id}/occurrences?${query}`)).body
    const minutes = ({ data }: { data: { scheduledAt: string }[] }) => data.map((one) => one.scheduledAt.slice(14, 16))
    const first = await page('limit=3&includeTotal=true')
    expect([minutes(first), first.pagination.total]).toEqual([['07', '06', '05'], 7])
    await allEnded(acme, schedule.id)
    await pass(MINUTE_MS)
    const second = await page(`limit=3&cursor=${first.pagination.nextCursor}`)
    const third = await page(`limit=3&cursor=${second.pagination.nextCursor}`)
    expect([minutes(second), minutes(third)]).toEqual([['04', '03', '02'], ['01']])
    expect(third.pagination).toMatchObject({ hasMore: false, nextCursor: null })
    expect(minutes(await page('limit=2&offset=2'))).toEqual(['06', '05'])
    expect(minutes(await page('status=started'))).toEqual(['08', '07'])
    expect((await acme.get(`/schedules/${schedule.id}/occurrences?status=lost`)).status).toBe(400)
  })
})

describe('when it comes up', () => {
  test('is told with the time on the clock there, and what a change of the clock does to it', async () => {
    const { acme, clock } = await startAtNoon()
    clock.pass(Date.parse('2026-03-28T12:00:00Z') - clock.now().getTime())
    const schedule = await scheduled(acme, '30 2 * * *', { timezone: 'Europe/Berlin', scheduleActive: false })
    expect((await acme.get(`/schedules/${schedule.id}/next-runs?count=2`)).body.data).toEqual([
      { at: '2026-03-29T01:00:00.000Z', localTime: '2026-03-29T03:00:00+02:00', clockChange: 'gap' },
      { at: '2026-03-30T00:30:00.000Z', localTime: '2026-03-30T02:30:00+02:00', clockChange: null },
    ])
    expect((await acme.get(`/schedules/${schedule.id}/next-runs`)).body.data.length).toBe(10)
    for (const count of ['0', '101', 'x']) {
      expect((await acme.get(`/schedules/${schedule.id}/next-runs?count=${count}`)).status).toBe(400)
    }
  })

  test('can be asked of a schedule that is not kept, from any moment on', async () => {
    const { acme } = await startAtNoon()
    const { status, body } = await acme.post('/schedules/preview', {
      cronSchedule: '*/30 2 * * *',
      timezone: 'America/New_York',
      from: '2026-11-01T00:00:00-04:00',
      count: 3,
    })
    expect(status).toBe(200)
    expect(body).toEqual({
      scheduleDescription: 'Every 30 minutes, between 02:00 and 02:59, every day',
      timezone: 'America/New_York',
      runs: [
        { at: '2026-11-01T07:00:00.000Z', localTime: '2026-11-01T02:00:00-05:00', clockChange: null },
        { at: '2026-11-01T07:30:00.000Z', localTime: '2026-11-01T02:30:00-05:00', clockChange: null },
        { at: '2026-11-02T07:00:00.000Z', localTime: '2026-11-02T02:00:00-05:00', clockChange: null },
      ],
    })
    const { body: fromNow } = await acme.post('/schedules/preview', { cronSchedule: '@hourly' })
    expect([fromNow.timezone, fromNow.runs.length, fromNow.runs[0].at]).toEqual(['UTC', 10, '2026-03-01T13:00:00.000Z'])
    expect((await acme.get('/schedules')).body.data).toEqual([])
  })

  test('of moments that are far away is an answer, too', async () => {
    const { acme } = await startAtNoon()
    const ask = (more: object) => acme.post('/schedules/preview', { cronSchedule: '0 * 29 2 *', ...more })
    for (const from of ['0050-06-01T00:00:00Z', '1969-12-31T23:59:59Z', '3000-01-01T00:00:00Z', '9999-12-31T23:59:59Z'])
      expect((await ask({ from })).status, from).toBe(400)
    for (const from of ['1970-01-01T00:00:00Z', '2999-12-31T23:59:59Z']) {
      for (const timezone of ['Europe/Berlin', 'Pacific/Apia', 'UTC']) {
        for (const cronSchedule of ['0 * 29 2 *', '30 2 * * *']) {
          expect((await ask({ from, timezone, cronSchedule, count: 100 })).status, `${from} ${timezone}`).toBe(200)
        }
      }
    }
    expect((await ask({ cronSchedule: '0 0 30 2 *' })).status).toBe(422)
    expect((await ask({ timezone: 'UTC+1' })).status).toBe(422)
    expect((await ask({ from: 'tomorrow' })).status).toBe(400)
  })

  test('is known in every time zone there is', async () => {
    const { acme } = await startAtNoon()
    const zones = [...Intl.supportedValuesOf('timeZone'), 'UTC']
    const dagId = await plannedDag(acme)
    for (const timezone of zones) {
      const { status, body } = await acme.patch(`/dags/${dagId}`, { cronSchedule: '30 2 * * *', timezone })
      expect([status, body.timezone], timezone).toEqual([200, timezone])
      expect(Date.parse(body.nextRunAt) - Date.parse('2026-03-01T12:00:00Z')).toBeLessThanOrEqual(24 * HOUR_MS)
    }
  })
})

describe('who may', () => {
  test('one tenant cannot reach another tenant’s schedules', async () => {
    const { acme, api, pass } = await startAtNoon()
    const globex = await api.tenant('globex')
    const schedule = await scheduled(acme, '@hourly')
    await pass(HOUR_MS)
    const path = `/schedules/${schedule.id}`
    expect((await globex.get('/schedules')).body.data).toEqual([])
    for (const inner of ['', '/next-runs', '/occurrences']) expect((await globex.get(path + inner)).status).toBe(404)
    expect((await globex.patch(path, { scheduleActive: false })).status).toBe(404)
    expect((await globex.delete(path)).status).toBe(404)
    expect((await globex.post('/schedules', { dagId: schedule.dagId, cronSchedule: '@daily' })).status).toBe(404)
    expect((await acme.get(path)).body).toMatchObject({ scheduleActive: true, nextRunAt: '2026-03-01T14:00:00.000Z' })
    expect(Object.keys(await indexOf(api))).toEqual([schedule.id])
  })

  test('whoever gives a DAG an active schedule has to be allowed to execute', async () => {
    const { acme, api } = await startAtNoon()
    const { body: key } = await acme.post('/auth/api-keys', { name: 'writer', scopes: ['read', 'write'] })
    const writer = api.client(key.key)
    const forbidden = { status: 403, body: { code: 'insufficient_scope', details: { required: 'execute' } } }
    expect(await writer.post('/dags', { ...GOAL, cronSchedule: '@daily' })).toMatchObject(forbidden)
    expect((await writer.get('/dags')).body.data).toEqual([])

    const dagId = await plannedDag(writer, { cronSchedule: '@daily', scheduleActive: false })
    const path = `/dags/${dagId}`
    expect((await writer.patch(path, { cronSchedule: '@hourly' })).status).toBe(200) // inactive before and after
    expect(await writer.patch(path, { scheduleActive: true, dagTitle: 'Mine' })).toMatchObject(forbidden)
    const { body: inactive } = await writer.get(path)
    expect(inactive).toMatchObject({ scheduleActive: false, cronSchedule: '@hourly' })
    expect(inactive.dagTitle).not.toBe('Mine')

    expect((await acme.patch(path, { scheduleActive: true })).status).toBe(200)
    const { plan } = (await acme.get(path)).body
    for (const change of [
      { cronSchedule: '* * * * *' },
      { timezone: 'Asia/Kolkata' },
      { scheduleActive: true },
      { plan },
    ])
      expect(await writer.patch(path, change), JSON.stringify(change)).toMatchObject(forbidden)
    expect((await writer.patch(path, { dagTitle: 'Mine' })).body).toMatchObject({
      scheduleActive: true,
      dagTitle: 'Mine',
    })
    expect((await writer.patch(path, { scheduleActive: false })).status).toBe(200)
    expect((await writer.patch(path, { plan })).status).toBe(200) // nothing executes it by itself now
    expect((await writer.patch(path, { cronSchedule: null })).status).toBe(200)
    expect(await writer.patch(path, { cronSchedule: '@daily' })).toMatchObject(forbidden)
    expect((await writer.get(path)).body.cronSchedule).toBeNull()
  })
})
