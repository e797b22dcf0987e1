import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

const GOAL = 'Count the words of "a b c"'

async function acmeAt(start?: string) {
  const clock = new HeldClock(start)
  const api = await startApi({ overrides: { now: clock.now } })
  return { clock, api, acme: await api.tenant('acme') }
}

const create = (client: Client, schedule: object) => client.post('/dags', { goalText: GOAL, ...schedule })
const scheduled = async (client: Client, cronSchedule: string, more: object = {}) => {
  const { status, body } = await create(client, { cronSchedule, ...more })
  expect(status, `${cronSchedule} ${JSON.stringify(body.details)}`).toBe(201)
  return body.dag
}

describe('a schedule is kept and told in words', () => {
  const words: Record<string, string> = {
    '* * * * *': 'Every minute, every hour, every day',
    '*/5 * * * *': 'Every 5 minutes, every hour, every day',
    '30 8 * * 1-5': 'At 08:30, Monday through Friday',
    '0 0 1,15 * *': 'At 00:00, on day 1 and 15 of the month',
    '0 0 29 2 *': 'At 00:00, on day 29 of the month, only in February',
    '0 0 L * *': 'At 00:00, on the last day of the month',
    '0 0 * * FRI#2': 'At 00:00, on the second Friday of the month',
    '15 9-17/2 * JAN,JUL MON':
      'At 15 minutes past the hour, every 2 hours, between 09:00 and 17:59, only on Monday, only in January and July',
    '@hourly': 'Every hour, every day',
    '@daily': 'At 00:00, every day',
    '@weekly': 'At 00:00, only on Sunday',
    '@monthly': 'At 00:00, on day 1 of the month',
    '@yearly': 'At 00:00, on day 1 of the month, only in January',
  }
  for (const [cronSchedule, scheduleDescription] of Object.entries(words)) {
    test(cronSchedule, async () => {
      const { acme } = await acmeAt()
      const dag = await scheduled(acme, cronSchedule)
      expect(dag).toMatchObject({
        cronSchedule,
        scheduleDescription,
        scheduleActive: true,
        timezone: 'UTC',
        lastRunAt: null,
      })
      expect(Date.parse(dag.nextRunAt)).toBeGreaterThan(Date.parse('2026-03-01T12:00:00Z'))
      expect((await acme.get(`/dags/${dag.id}`)).body).toEqual(dag)
    })
  }
})

describe('no schedule', () => {
  const refused = async (schedule: object, field: string, reason: RegExp) => {
    const { acme } = await acmeAt()
    const { body: plain } = await create(acme, {})
    for (const answer of [await create(acme, schedule), await acme.patch(`/dags/${plain.dagId}`, schedule)]) {
      expect(answer).toMatchObject({ status: 422, body: { code: 'schedule_invalid', details: { field } } })
      expect(answer.body.message).toMatch(reason)
    }
    expect((await acme.get('/dags')).body.data.length).toBe(1)
    expect((await acme.get(`/dags/${plain.dagId}`)).body).toEqual(plain.dag)
  }
  const FIVE = /^Five fields are needed/

  for (const cronSchedule of [
    '0 30 8 * * *', // with seconds
    '0 0 8 * * * 2030', // and a year
    '* * * *   ?*',
    '60 * * * *',
    '0 24 * * *',
    '0 0 0 * *',
    '0 0 * 13 *',
    '0 0 * * 8',
    '*/0 * * * *',
    '0 0 * * 1#6',
    'every day at eight',
    'a b c d e',
    '@reboot',
    '@fortnightly',
    '@DAILY',
    '2030-01-01T00:00:00', // a moment: croner takes it, cronstrue cannot tell it
    '2030-01-01 00:00:00',
    '? * * * *',
    '0 0 1 * +1',
    '0 0 * * MON#L',
    '0 0 1W,15W * *',
    '0\t0\t*\t*\t*',
    "0 0 * * '; drop table dags; --",
  ]) {
    test(JSON.stringify(cronSchedule), () => refused({ cronSchedule }, 'cronSchedule', FIVE))
  }

  for (const cronSchedule of ['0 0 30 2 *', '0 0 31 4,6,9,11 *']) {
    test(`${cronSchedule}: the moment never comes`, () => refused({ cronSchedule }, 'cronSchedule', /never comes/))
  }

  for (const timezone of ['Europe/Nowhere', '', 'UTC+5', '+05:30', '-08', '../etc/passwd', 'Mars']) {
    test(`in the zone ${JSON.stringify(timezone)}`, () =>
      refused({ cronSchedule: '@daily', timezone }, 'timezone', /no IANA time zone/))
  }

  test('a text that is too short or longer than 100 characters is no request', async () => {
    const { acme } = await acmeAt()
    for (const cronSchedule of ['', '@day', `${'0,'.repeat(50)}0 * * * *`, 5]) {
      expect((await create(acme, { cronSchedule })).status, String(cronSchedule)).toBe(400)
    }
    expect((await create(acme, { cronSchedule: '@daily', timezone: 'x'.repeat(101) })).status).toBe(400)
    expect((await create(acme, { cronSchedule: null })).status).toBe(400)
    expect((await acme.get('/dags')).body.data).toEqual([])
  })

  test('none at all: nothing is active, nothing comes, and there is no time zone to keep', async () => {
    const { acme } = await acmeAt()
    const nothing = {
      cronSchedule: null,
      scheduleActive: false,
      scheduleDescription: null,
      nextRunAt: null,
      timezone: 'UTC',
    }
    const { body } = await create(acme, { timezone: 'UTC' })
    expect(body.dag).toMatchObject(nothing)
    for (const answer of [
      await create(acme, { timezone: 'Asia/Kolkata' }),
      await acme.patch(`/dags/${body.dagId}`, { timezone: 'Asia/Kolkata' }),
    ]) {
      expect(answer).toMatchObject({ status: 422, body: { code: 'schedule_invalid', details: { field: 'timezone' } } })
    }
    expect((await acme.get(`/dags/${body.dagId}`)).body).toMatchObject(nothing)
  })

  test('whatever is taken can be told: no text of cron’s letters is a 500', async () => {
    const { acme } = await acmeAt()
    const { body } = await create(acme, {})
    const piece = fc.constantFrom(
      ...'0 1 5 15 31 60 * */2 */15 1-5 5-1 1,2 L W LW 15W 5L 5#2 ? +1 MON JAN SUN-SAT 1/2 - , # /'.split(' '),
    )
    const cron = fc.array(piece, { minLength: 4, maxLength: 6 }).map((pieces) => pieces.join(' '))
    await fc.assert(
      fc.asyncProperty(cron, async (cronSchedule) => {
        const { status, body: dag } = await acme.patch(`/dags/${body.dagId}`, { cronSchedule })
        if (status === 200) {
          expect(dag.scheduleDescription).not.toBe('')
          expect(dag.nextRunAt).not.toBeNull()
        } else expect([400, 422]).toContain(status)
      }),
      { numRuns: 300 },
    )
  })
})

describe('a change', () => {
  test('gives a DAG a schedule, and null takes it away', async () => {
    const { acme } = await acmeAt()
    const { body: plain } = await create(acme, {})
    const path = `/dags/${plain.dagId}`

    const given = await acme.patch(path, { cronSchedule: '0 8 * * *', timezone: 'Asia/Kolkata' })
    expect(given.body).toMatchObject({
      cronSchedule: '0 8 * * *',
      scheduleActive: true,
      timezone: 'Asia/Kolkata',
      nextRunAt: '2026-03-02T02:30:00.000Z',
    })
    const taken = await acme.patch(path, { cronSchedule: null })
    expect(taken).toMatchObject({ status: 200, body: { cronSchedule: null, scheduleActive: false, nextRunAt: null } })
    expect((await acme.get('/dags/scheduled')).body.data).toEqual([])
    expect(await acme.patch(path, { cronSchedule: null, scheduleActive: true })).toMatchObject({ status: 422 })
  })

  test('of scheduleActive alone stops and starts it; without a schedule it is refused', async () => {
    const { acme } = await acmeAt()
    const dag = await scheduled(acme, '@daily')
    const path = `/dags/${dag.id}`

    expect((await acme.patch(path, { scheduleActive: false })).body).toMatchObject({
      cronSchedule: '@daily',
      scheduleActive: false,
      scheduleDescription: 'At 00:00, every day',
      nextRunAt: null,
    })
    expect((await acme.patch(path, { cronSchedule: '@hourly' })).body).toMatchObject({ scheduleActive: false })
    expect((await acme.patch(path, { scheduleActive: true })).body).toMatchObject({
      scheduleActive: true,
      nextRunAt: '2026-03-01T13:00:00.000Z',
    })
    const { body: plain } = await create(acme, {})
    expect(await acme.patch(`/dags/${plain.dagId}`, { scheduleActive: true })).toMatchObject({
      status: 422,
      body: { code: 'schedule_invalid', details: { field: 'scheduleActive' } },
    })
    expect((await acme.patch(`/dags/${plain.dagId}`, { scheduleActive: false })).status).toBe(200)
    expect(await create(acme, { scheduleActive: true })).toMatchObject({ status: 422 })
  })

  test('of the zone alone moves the next run; what is not about the schedule leaves it', async () => {
    const { acme } = await acmeAt()
    const dag = await scheduled(acme, '0 8 * * *', { timezone: 'UTC' })
    const path = `/dags/${dag.id}`
    expect((await acme.patch(path, { timezone: 'America/New_York' })).body.nextRunAt).toBe('2026-03-01T13:00:00.000Z')
    const { nextRunAt, cronSchedule, timezone } = (await acme.patch(path, { dagTitle: 'Renamed' })).body
    expect({ nextRunAt, cronSchedule, timezone }).toEqual({
      nextRunAt: '2026-03-01T13:00:00.000Z',
      cronSchedule: '0 8 * * *',
      timezone: 'America/New_York',
    })
  })

  test('does not undo another that is made at the same moment', async () => {
    const { acme } = await acmeAt()
    for (let round = 0; round < 10; round += 1) {
      const { id } = await scheduled(acme, '0 8 * * *')
      const change = (patch: object) => acme.patch(`/dags/${id}`, patch)
      await Promise.all([change({ cronSchedule: null }), change({ timezone: 'Asia/Kolkata' })])
      const { body } = await acme.get(`/dags/${id}`)
      expect([body.cronSchedule, body.scheduleActive, body.timezone]).toEqual([null, false, 'UTC'])
    }
  })

  test('that is half right changes nothing', async () => {
    const { acme } = await acmeAt()
    const dag = await scheduled(acme, '@daily')
    expect((await acme.patch(`/dags/${dag.id}`, { dagTitle: 'New', cronSchedule: '0 0 30 2 *' })).status).toBe(422)
    expect((await acme.get(`/dags/${dag.id}`)).body).toEqual(dag)
  })
})

test('a schedule can be kept inactive from the start', async () => {
  const { acme } = await acmeAt()
  const dag = await scheduled(acme, '@daily', { scheduleActive: false })
  expect(dag).toMatchObject({ scheduleActive: false, scheduleDescription: 'At 00:00, every day', nextRunAt: null })
})

describe('the next run is meant in the schedule’s zone', () => {
  /** Lets each run come up, and tells when the next one is. */
  async function runsOf(start: string, cronSchedule: string, timezone: string, count: number): Promise<string[]> {
    const { acme, api, clock } = await acmeAt(start)
    const dag = await scheduled(acme, cronSchedule, { timezone })
    const runs = [dag.nextRunAt]
    while (runs.length < count) {
      clock.pass(Date.parse(runs.at(-1)) - clock.now().getTime())
      await api.api.tick()
      runs.push((await acme.get(`/dags/${dag.id}`)).body.nextRunAt)
    }
    return runs
  }

  test('half past eight stays half past eight when the clocks go forward and back', async () => {
    expect(await runsOf('2026-03-28T00:00:00.000Z', '30 8 * * *', 'Europe/Berlin', 2)).toEqual([
      '2026-03-28T07:30:00.000Z',
      '2026-03-29T06:30:00.000Z', // Berlin changed in the night
    ])
    expect(await runsOf('2026-10-24T00:00:00.000Z', '30 8 * * *', 'Europe/Berlin', 2)).toEqual([
      '2026-10-24T06:30:00.000Z',
      '2026-10-25T07:30:00.000Z',
    ])
  })

  test('an hour that the change leaves out is not lost for that day', async () => {
    expect(await runsOf('2026-03-28T23:00:00.000Z', '30 2 * * *', 'Europe/Berlin', 2)).toEqual([
      '2026-03-29T01:00:00.000Z', // three o’clock, the first moment after
      '2026-03-30T00:30:00.000Z',
    ])
  })

  test('an hour that comes twice counts once', async () => {
    expect(await runsOf('2026-10-24T22:00:00.000Z', '30 2 * * *', 'Europe/Berlin', 2)).toEqual([
      '2026-10-25T00:30:00.000Z',
      '2026-10-26T01:30:00.000Z',
    ])
  })

  test('29 February is waited for', async () => {
    const { acme } = await acmeAt()
    expect((await scheduled(acme, '0 0 29 2 *')).nextRunAt).toBe('2028-02-29T00:00:00.000Z')
  })
})

describe('scheduled DAGs are listed', () => {
  async function withSix() {
    const { acme, api, clock } = await acmeAt()
    const ids: string[] = []
    for (let i = 0; i < 6; i += 1) {
      clock.pass(1)
      ids.unshift((await scheduled(acme, '@daily', { scheduleActive: i % 2 === 0 })).id)
      await create(acme, {})
    }
    const list = async (query: string) => {
      const { status, body } = await acme.get(`/dags/scheduled?${query}`)
      expect(status).toBe(200)
      return { ...body, ids: body.data.map(({ id }: { id: string }) => id) }
    }
    return { acme, api, clock, ids, list }
  }

  test('newest first, without those that have no schedule, all or by whether they are active', async () => {
    const { ids, list, acme } = await withSix()
    expect((await list('')).ids).toEqual(ids)
    expect((await list('active=true')).ids).toEqual(ids.filter((_, i) => i % 2 === 1))
    expect((await list('active=false')).ids).toEqual(ids.filter((_, i) => i % 2 === 0))
    expect((await list('active=true&includeTotal=true&limit=1')).pagination.total).toBe(3)
    expect((await acme.get('/dags/scheduled?active=yes')).status).toBe(400)
    expect((await acme.get('/dags/scheduled?status=success')).status).toBe(400)
  })

  test('page by page, by offset and by cursor, while new ones come in', async () => {
    const { ids, list, acme, clock } = await withSix()
    expect((await list('limit=2&offset=2')).ids).toEqual(ids.slice(2, 4))
    const first = await list('limit=2')
    clock.pass(1)
    await scheduled(acme, '@weekly')
    const second = await list(`limit=2&cursor=${first.pagination.nextCursor}`)
    const third = await list(`limit=2&cursor=${second.pagination.nextCursor}`)
    expect([...first.ids, ...second.ids, ...third.ids]).toEqual(ids)
    expect(third.pagination).toMatchObject({ hasMore: false, nextCursor: null })
    const active = await list('active=true&limit=2')
    expect((await list(`active=true&limit=2&cursor=${active.pagination.nextCursor}`)).ids.at(-1)).toBe(ids[5])
  })

  test('one tenant cannot reach another tenant’s schedules', async () => {
    const { api } = await withSix()
    const globex = await api.tenant('globex')
    expect((await globex.get('/dags/scheduled')).body.data).toEqual([])
  })
})
