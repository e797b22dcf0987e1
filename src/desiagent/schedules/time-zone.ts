const DAY_MS = 24 * 3_600_000
/** No zone changes its clock twice in so short a time. */
const STEP_MS = 7 * DAY_MS
const MAX_KNOWN_ZONES = 1_000

/**
 * What clocks show in a time zone. A moment is epoch milliseconds; a wall time is what a clock on the wall shows, as the
 * moment at which one in UTC shows the same.
 */
export interface TimeZone {
  /** How far its clocks are ahead of UTC, in milliseconds. */
  offsetAt(moment: number): number
}

/** The moments at which a clock shows a wall time: one; two, when it is put back; none, when it is put forward. */
export type Moments =
  | { kind: 'once'; at: number }
  | { kind: 'twice'; first: number; second: number }
  /** `after`: the first moment after the gap. */
  | { kind: 'never'; after: number }

const ZONES = new Map<string, TimeZone>()

/** @param name  IANA name @throws RangeError for any other */
export function timeZoneOf(name: string): TimeZone {
  const known = ZONES.get(name)
  if (known) return known
  const format = new Intl.DateTimeFormat('en-US', { timeZone: name, timeZoneName: 'longOffset' })
  const zone: TimeZone = { offsetAt: (moment) => offsetIn(format.format(moment)) }
  if (ZONES.size >= MAX_KNOWN_ZONES) ZONES.clear() // names come from callers, in upper and lower case
  ZONES.set(name, zone)
  return zone
}

/** `7/1/2026, GMT+05:30`; `GMT` alone is no offset. */
const OFFSET = /GMT(?:([+-])(\d\d):(\d\d)(?::(\d\d))?)?$/

function offsetIn(text: string): number {
  const [, sign, hours = 0, minutes = 0, seconds = 0] = OFFSET.exec(text) ?? []
  const milliseconds = ((Number(hours) * 60 + Number(minutes)) * 60 + Number(seconds)) * 1_000
  return sign === '-' ? -milliseconds : milliseconds
}

export function wallTimeAt(zone: TimeZone, moment: number): number {
  return moment + zone.offsetAt(moment)
}

export function momentsOf(zone: TimeZone, wallTime: number): Moments {
  const [before, after] = [zone.offsetAt(wallTime - DAY_MS), zone.offsetAt(wallTime + DAY_MS)]
  if (before === after) return { kind: 'once', at: wallTime - before }
  const [early, late] = [wallTime - before, wallTime - after]
  const isShownEarly = zone.offsetAt(early) === before
  const isShownLate = zone.offsetAt(late) === after
  if (isShownEarly && isShownLate) return { kind: 'twice', first: early, second: late }
  if (isShownEarly) return { kind: 'once', at: early }
  if (isShownLate) return { kind: 'once', at: late }
  return { kind: 'never', after: firstChange(zone, wallTime - DAY_MS, wallTime + DAY_MS) ?? late }
}

/** The first moment after `from`, and not after `to`, at which the clock is changed; null when it is not. */
export function firstChange(zone: TimeZone, from: number, to: number): number | null {
  for (let start = from; start < to; start += STEP_MS) {
    const end = Math.min(start + STEP_MS, to)
    if (zone.offsetAt(start) !== zone.offsetAt(end)) return changeBetween(zone, start, end)
  }
  return null
}

/** The last moment after `from`, and not after `to`, at which the clock is changed; null when it is not. */
export function lastChange(zone: TimeZone, from: number, to: number): number | null {
  for (let end = to; end > from; end -= STEP_MS) {
    const start = Math.max(end - STEP_MS, from)
    if (zone.offsetAt(start) !== zone.offsetAt(end)) return changeBetween(zone, start, end)
  }
  return null
}

function changeBetween(zone: TimeZone, from: number, to: number): number {
  const before = zone.offsetAt(from)
  let [earliest, latest] = [from, to]
  while (latest - earliest > 1) {
    const middle = Math.floor((earliest + latest) / 2)
    if (zone.offsetAt(middle) === before) earliest = middle
    else latest = middle
  }
  return latest
}

/** ISO 8601 with the offset: `2026-03-29T03:00:00+02:00`. */
export function localTime(zone: TimeZone, moment: number): string {
  const offset = zone.offsetAt(moment)
  const minutes = Math.abs(Math.round(offset / 60_000))
  const two = (n: number) => String(n).padStart(2, '0')
  const sign = offset < 0 ? '-' : '+'
  const shown = new Date(moment + offset).toISOString().slice(0, 19)
  return `${shown}${sign}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
}
