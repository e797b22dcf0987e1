import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Moment, momentsAfter, momentsUpTo, toRun } from '#desiagent/schedules/moments.ts'
import { allZones, type Fields, type Transition, transitionsOf, WallClock, wallMinuteReader } from './wall-clocks.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
/** Looked at on both sides of each change of a clock. */
const AROUND_MS = 12 * HOUR_MS
/** Expressions that are tried around each. */
const RUNS = 10

const ZONES = allZones()
const TRANSITIONS = ZONES.flatMap((zone) => transitionsOf(zone, 2025, 2030))

interface Expression extends Fields {
  cron: string
}

interface Field {
  text: string
  values: number[]
}

const range = (from: number, to: number, step = 1) =>
  Array.from({ length: Math.floor((to - from) / step) + 1 }, (_, index) => from + index * step)

/** A field of numbers that mostly lie near the interesting ones. */
function numbers(min: number, max: number, near: readonly number[]): fc.Arbitrary<Field> {
  const one = fc.oneof(fc.constantFrom(...near), fc.integer({ min, max }))
  const single = one.map((n) => ({ text: `${n}`, values: [n] }))
  const list = fc.uniqueArray(one, { minLength: 2, maxLength: 4 }).map((values) => ({ text: values.join(','), values }))
  const span = fc.tuple(one, one, fc.constantFrom(1, 1, 2, 3)).map(([a, b, step]) => {
    const [from, to] = [Math.min(a, b), Math.max(a, b)]
    return { text: `${from}-${to}${step > 1 ? `/${step}` : ''}`, values: range(from, to, step) }
  })
  return fc.oneof({ weight: 3, arbitrary: single }, { weight: 2, arbitrary: list }, { weight: 1, arbitrary: span })
}

function starred(min: number, max: number, steps: readonly number[]): fc.Arbitrary<Field> {
  return fc.constantFrom(...steps).map((step) => ({
    text: step === 1 ? '*' : `*/${step}`,
    values: range(min, max, step),
  }))
}

/** Any day, mostly; else days near this one. */
function days(min: number, max: number, near: readonly number[]) {
  const any = fc.constant<Field | null>(null)
  return fc.oneof({ weight: 3, arbitrary: any }, { weight: 1, arbitrary: numbers(min, max, near) })
}

/** Expressions that have something to do around this change of a clock. */
function expressionsNear({ zone, at }: Transition): fc.Arbitrary<Expression> {
  const wallMinute = wallMinuteReader(zone)
  const dates = [at - MINUTE_MS, at, at + HOUR_MS].map((moment) => new Date(wallMinute(moment) * MINUTE_MS))
  const near = (read: (date: Date) => number) => dates.map(read)
  const hourNumbers = numbers(0, 23, [...near((date) => date.getUTCHours()), 2, 23, 0])
  const minuteNumbers = numbers(0, 59, [0, 30, 59, 1, 15, 45])
  return fc
    .record({
      minute: fc.oneof(
        { weight: 6, arbitrary: minuteNumbers },
        { weight: 1, arbitrary: starred(0, 59, [1, 5, 15, 25]) },
      ),
      hour: fc.oneof(
        { weight: 3, arbitrary: hourNumbers.map((field) => ({ ...field, isStarred: false })) },
        { weight: 2, arbitrary: starred(0, 23, [1, 1, 2, 3, 5]).map((field) => ({ ...field, isStarred: true })) },
      ),
      day: days(
        1,
        31,
        near((date) => date.getUTCDate()),
      ),
      month: days(
        1,
        12,
        near((date) => date.getUTCMonth() + 1),
      ),
      weekday: days(
        0,
        6,
        near((date) => date.getUTCDay()),
      ),
    })
    .map(({ minute, hour, day, month, weekday }) => ({
      cron: [minute, hour, day, month, weekday].map((field) => field?.text ?? '*').join(' '),
      minutes: minute.values,
      hours: hour.values,
      isHourStarred: hour.isStarred,
      days: day?.values ?? null,
      months: month?.values ?? null,
      weekdays: weekday?.values ?? null,
    }))
}

/** When somebody may look: mostly within two hours of the change. */
function momentsNear(at: number): fc.Arbitrary<number> {
  const within = (ms: number) => fc.integer({ min: at - ms, max: at + ms })
  return fc.oneof({ weight: 3, arbitrary: within(2 * HOUR_MS) }, { weight: 1, arbitrary: within(AROUND_MS) })
}

function collect(moments: Generator<Moment>, isWanted: (moment: Moment) => boolean): Moment[] {
  const found: Moment[] = []
  for (const moment of moments) {
    if (!isWanted(moment)) break
    found.push(moment)
  }
  return found
}

const inWords = (zone: string, moments: readonly Moment[]) =>
  moments.map((moment) => `${toRun(zone, moment).localTime} ${moment.clockChange ?? ''}`)

const CHANGING = new Set(TRANSITIONS.map(({ zone }) => zone))

describe('in every IANA zone, from 2025 to 2030', () => {
  const covered = `${TRANSITIONS.length} changes in ${CHANGING.size} of ${ZONES.length} zones`

  test(`a schedule comes up when it should, never twice and never not at all, around ${covered}`, {
    timeout: 240_000,
  }, () => {
    expect(TRANSITIONS.length).toBeGreaterThan(1_000)
    for (const transition of TRANSITIONS) {
      const { zone, at } = transition
      const [from, to] = [at - AROUND_MS, at + AROUND_MS]
      const clock = new WallClock(zone, from, to, 3 * HOUR_MS)
      const holds = fc.property(expressionsNear(transition), momentsNear(at), (expression, middle) => {
        const { cron } = expression
        const expected = clock.expected(expression)

        const forward = collect(momentsAfter(cron, zone, from - 1), (moment) => moment.at <= to)
        expect(inWords(zone, forward), `${cron} ${zone}`).toEqual(inWords(zone, expected))
        expect(forward.every(({ at: one }, index) => index === 0 || one > (forward[index - 1]?.at ?? 0))).toBe(true)
        const backward = collect(momentsUpTo(cron, zone, to), (moment) => moment.at >= from)
        expect(backward.map((moment) => moment.at).toReversed(), `${cron} ${zone}, backwards`).toEqual(
          expected.map((moment) => moment.at),
        )
        // Whenever somebody looks, the next is the next, and the last was the last.
        const next = momentsAfter(cron, zone, middle).next().value?.at ?? Infinity
        const expectedNext = expected.find((moment) => moment.at > middle)?.at
        expect(next <= to ? next : undefined, `${cron} ${zone} after ${middle}`).toBe(expectedNext)
        const last = momentsUpTo(cron, zone, middle).next().value?.at ?? 0
        const expectedLast = expected.findLast((moment) => moment.at <= middle)?.at
        expect(last >= from ? last : undefined, `${cron} ${zone} up to ${middle}`).toBe(expectedLast)
      })
      fc.assert(holds, { numRuns: RUNS, seed: at % 1_000_003 })
    }
  })

  test('each day at the same time is once on each day of the calendar, on the other days at that time', {
    timeout: 60_000,
  }, () => {
    const [from, to] = [Date.UTC(2025, 0, 1), Date.UTC(2031, 0, 1)]
    for (const [index, zone] of ZONES.entries()) {
      const [hour, minute] = [index % 24, (index * 7) % 60]
      const found = collect(momentsAfter(`${minute} ${hour} * * *`, zone, from - 1), (moment) => moment.at < to)
      expect(found.length, zone).toBe(2_191)
      const shown = wallMinuteReader(zone)
      const odd = found.filter(
        ({ at, clockChange }) => clockChange !== 'gap' && shown(at) % 1_440 !== hour * 60 + minute,
      )
      expect(odd, zone).toEqual([])
    }
  })
})

describe('what people are told of a moment', () => {
  const told = (cron: string, zone: string, after: string, count: number) =>
    inWords(zone, [...firstOf(count, momentsAfter(cron, zone, Date.parse(after)))])

  test('a time of day that is left out comes up at the first moment after, on the next day if need be', () => {
    expect(told('30 2 * * *', 'Europe/Berlin', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T03:00:00+02:00 gap',
      '2026-03-30T02:30:00+02:00 ',
    ])
    expect(told('30 2,14 * * *', 'Europe/Berlin', '2026-03-28T14:00:00Z', 2)).toEqual([
      '2026-03-29T03:00:00+02:00 gap',
      '2026-03-29T14:30:00+02:00 ',
    ])
    expect(told('15,45 23 * * 6', 'America/Nuuk', '2026-03-28T12:00:00Z', 2)).toEqual([
      '2026-03-29T00:00:00-01:00 gap',
      '2026-04-04T23:15:00-01:00 ',
    ])
  })

  test('a time of day that comes twice counts the first time; through the hours it counts both times', () => {
    expect(told('30 2,14 * * *', 'Europe/Berlin', '2026-10-24T14:00:00Z', 3)).toEqual([
      '2026-10-25T02:30:00+02:00 overlap',
      '2026-10-25T14:30:00+01:00 ',
      '2026-10-26T02:30:00+01:00 ',
    ])
    expect(told('30 * * * *', 'Europe/Berlin', '2026-10-25T00:00:00Z', 3)).toEqual([
      '2026-10-25T02:30:00+02:00 overlap',
      '2026-10-25T02:30:00+01:00 overlap',
      '2026-10-25T03:30:00+01:00 ',
    ])
    expect(told('@hourly', 'Europe/Berlin', '2026-03-28T23:59:00Z', 3)).toEqual([
      '2026-03-29T01:00:00+01:00 ',
      '2026-03-29T03:00:00+02:00 ',
      '2026-03-29T04:00:00+02:00 ',
    ])
  })

  test('clocks that are changed by half an hour, and in the other half of the year', () => {
    expect(told('15 2 * * *', 'Australia/Lord_Howe', '2026-10-03T12:00:00Z', 2)).toEqual([
      '2026-10-04T02:30:00+11:00 gap',
      '2026-10-05T02:15:00+11:00 ',
    ])
  })
})

function* firstOf(count: number, moments: Generator<Moment>): Generator<Moment> {
  for (let index = 0; index < count; index += 1) yield moments.next().value as Moment
}
