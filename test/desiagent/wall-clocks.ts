/**
 * What clocks show in a time zone, found out minute by minute from Intl, and what a schedule means on them: slow, plain,
 * and with nothing of ours in it.
 */

const MINUTE_MS = 60_000
const DAY_MS = 24 * 60 * MINUTE_MS

export interface Transition {
  zone: string
  /** Epoch milliseconds: the first moment at which the new offset holds. */
  at: number
  /** In minutes; positive: the clock is put forward. */
  byMinutes: number
}

/** What the clock shows, as minutes since 1970 on a calendar that knows no zones. */
export function wallMinuteReader(zone: string): (moment: number) => number {
  const format = new Intl.DateTimeFormat('sv-SE', { timeZone: zone, dateStyle: 'short', timeStyle: 'medium' })
  return (moment) => {
    const shown = format.format(moment) // 2026-03-29 03:00:00
    return Math.floor(Date.parse(`${shown.replace(' ', 'T')}Z`) / MINUTE_MS)
  }
}

export function allZones(): string[] {
  return [...new Set([...Intl.supportedValuesOf('timeZone'), 'UTC'])]
}

/** Every change of the zone's clock in these years, found by looking once a day and then closing in. */
export function transitionsOf(zone: string, fromYear: number, toYear: number): Transition[] {
  const wallMinute = wallMinuteReader(zone)
  const offset = (moment: number) => wallMinute(moment) - Math.floor(moment / MINUTE_MS)
  const found: Transition[] = []
  const end = Date.UTC(toYear + 1, 0, 1)
  for (let day = Date.UTC(fromYear, 0, 1); day < end; day += DAY_MS) {
    const [before, after] = [offset(day), offset(day + DAY_MS)]
    if (before === after) continue
    let [earliest, latest] = [day, day + DAY_MS]
    while (latest - earliest > MINUTE_MS) {
      const middle = Math.floor((earliest + latest) / 2 / MINUTE_MS) * MINUTE_MS
      if (offset(middle) === before) earliest = middle
      else latest = middle
    }
    found.push({ zone, at: latest, byMinutes: after - before })
  }
  return found
}

/** The five fields as sets; null: a star by itself. */
export interface Fields {
  minutes: readonly number[]
  hours: readonly number[]
  /** There is a star in the field of the hour. */
  isHourStarred: boolean
  days: readonly number[] | null
  months: readonly number[] | null
  weekdays: readonly number[] | null
}

/** A wall minute as a calendar and a clock say it. */
interface Shown {
  wallMinute: number
  minute: number
  hour: number
  day: number
  month: number
  weekday: number
}

function read(wallMinute: number): Shown {
  const date = new Date(wallMinute * MINUTE_MS)
  return {
    wallMinute,
    minute: date.getUTCMinutes(),
    hour: date.getUTCHours(),
    day: date.getUTCDate(),
    month: date.getUTCMonth() + 1,
    weekday: date.getUTCDay(),
  }
}

function isMeant(fields: Fields, shown: Shown): boolean {
  if (!fields.minutes.includes(shown.minute) || !fields.hours.includes(shown.hour)) return false
  if (fields.months && !fields.months.includes(shown.month)) return false
  const isDay = fields.days?.includes(shown.day)
  const isWeekday = fields.weekdays?.includes(shown.weekday)
  if (isDay !== undefined && isWeekday !== undefined) return isDay || isWeekday // crontab(5): either, when both are said
  return isDay ?? isWeekday ?? true
}

export interface Expected {
  at: number
  clockChange: 'gap' | 'overlap' | null
}

/** Which moments of these hours the clock shows what, minute by minute. */
export class WallClock {
  readonly #from: number
  readonly #to: number
  /** When each wall minute is shown. */
  readonly #moments = new Map<number, number[]>()
  /** All wall minutes from the first to the last, shown or not. */
  readonly #calendar: readonly Shown[]

  /** @param marginMs  looked at on both sides beyond what is asked for later */
  constructor(zone: string, from: number, to: number, marginMs: number) {
    this.#from = from
    this.#to = to
    const wallMinute = wallMinuteReader(zone)
    for (let moment = from - marginMs; moment <= to + marginMs; moment += MINUTE_MS) {
      const wall = wallMinute(moment)
      this.#moments.set(wall, [...(this.#moments.get(wall) ?? []), moment])
    }
    const first = Math.min(...this.#moments.keys())
    const last = Math.max(...this.#moments.keys())
    this.#calendar = Array.from({ length: last - first + 1 }, (_, index) => read(first + index))
  }

  /** When a schedule has to come up, by what the contract says. */
  expected(fields: Fields): Expected[] {
    const all = fields.isHourStarred ? this.#whenever(fields) : this.#once(fields)
    return all.filter(({ at }) => at >= this.#from && at <= this.#to)
  }

  /** Whenever the clock shows it: twice, when it does so twice. */
  #whenever(fields: Fields): Expected[] {
    const moments = this.#calendar.flatMap((shown) => {
      if (!isMeant(fields, shown)) return []
      const shownAt = this.#moments.get(shown.wallMinute) ?? []
      return shownAt.map((at) => ({ at, clockChange: shownAt.length > 1 ? ('overlap' as const) : null }))
    })
    return moments.toSorted((a, b) => a.at - b.at)
  }

  /** Each time of day once: the first time it is shown, or at the first moment after it was left out. */
  #once(fields: Fields): Expected[] {
    const byMoment = new Map<number, Expected>()
    for (const shown of this.#calendar) {
      if (!isMeant(fields, shown)) continue
      const expected = this.#momentOf(shown.wallMinute)
      if (!byMoment.has(expected.at)) byMoment.set(expected.at, expected)
    }
    return [...byMoment.values()].toSorted((a, b) => a.at - b.at)
  }

  #momentOf(wall: number): Expected {
    const shownAt = this.#moments.get(wall)
    if (shownAt) return { at: shownAt[0] as number, clockChange: shownAt.length > 1 ? 'overlap' : null }
    const next = Math.min(...[...this.#moments.keys()].filter((other) => other > wall))
    return { at: this.#moments.get(next)?.[0] as number, clockChange: 'gap' }
  }
}
