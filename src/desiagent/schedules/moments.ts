import { Cron } from 'croner'
import type { ScheduledRun } from './schedule.ts'
import { firstChange, lastChange, localTime, momentsOf, type TimeZone, timeZoneOf, wallTimeAt } from './time-zone.ts'

/** When a schedule comes up. */
export interface Moment {
  /** Epoch milliseconds. */
  at: number
  clockChange: ScheduledRun['clockChange']
}

/** What a schedule's expression says of clocks on the wall, and where they hang. */
interface Times {
  cron: Cron
  zone: TimeZone
}

/*
 * croner finds the days and times of an expression on a clock that is never changed; the changes are ours. Its own rule
 * takes only an expression with a single hour and minute for one at fixed times, so it loses `30 2,14 * * *` in a gap
 * and doubles it in an overlap, and it loses what a gap moves past midnight. Asking for one offset is also nine times
 * as fast as asking for a zone.
 */

/** @throws what croner says of an expression it does not know */
export function cronOf(cronSchedule: string): Cron {
  // Five fields only: nothing is run more than once a minute.
  return new Cron(cronSchedule, { utcOffset: 0, mode: '5-part', paused: true })
}

/** The moments after `at`, soonest first; of most expressions there is no end. */
export function momentsAfter(cronSchedule: string, timezone: string, at: number): Generator<Moment> {
  const times = { cron: cronOf(cronSchedule), zone: timeZoneOf(timezone) }
  return isRepeating(cronSchedule) ? repeatingAfter(times, at) : fixedAfter(times, at)
}

/** The moments up to `at`, newest first; of most expressions there is no end. */
export function momentsUpTo(cronSchedule: string, timezone: string, at: number): Generator<Moment> {
  const times = { cron: cronOf(cronSchedule), zone: timeZoneOf(timezone) }
  return isRepeating(cronSchedule) ? repeatingUpTo(times, at) : fixedUpTo(times, at)
}

/** How people see a moment. */
export function toRun(timezone: string, { at, clockChange }: Moment): ScheduledRun {
  return { at: new Date(at).toISOString(), localTime: localTime(timeZoneOf(timezone), at), clockChange }
}

/** It is to come up all through the day, whatever the clock shows then: there is a star in the field of the hour. */
function isRepeating(cronSchedule: string): boolean {
  if (cronSchedule.startsWith('@')) return cronSchedule === '@hourly'
  const [, hour = ''] = cronSchedule.trim().split(/\s+/)
  return /[*?]/.test(hour)
}

/** Each wall time is one moment: the first time it is shown; when it is left out, the first moment after. */
function* fixedAfter({ cron, zone }: Times, at: number): Generator<Moment> {
  let newest = at
  for (let wallTime = wallTimeAt(zone, at); ; ) {
    const next = wallTimeAfter(cron, wallTime)
    if (next === null) return
    const moment = fixedMoment(zone, next)
    if (moment.at > newest) yield moment // several wall times of a gap are one moment
    newest = Math.max(newest, moment.at)
    wallTime = next
  }
}

function* fixedUpTo({ cron, zone }: Times, at: number): Generator<Moment> {
  let oldest = at + 1
  // When the clock was put back a moment ago, later wall times than its own have been shown already.
  const putBackMs = Math.max(0, zone.offsetAt(at - 24 * 3_600_000) - zone.offsetAt(at))
  for (let wallTime = wallTimeAt(zone, at) + putBackMs + 1; ; ) {
    const previous = wallTimeBefore(cron, wallTime)
    if (previous === null) return
    const moment = fixedMoment(zone, previous)
    if (moment.at < oldest) yield moment
    oldest = Math.min(oldest, moment.at)
    wallTime = previous
  }
}

function fixedMoment(zone: TimeZone, wallTime: number): Moment {
  const moments = momentsOf(zone, wallTime)
  if (moments.kind === 'never') return { at: moments.after, clockChange: 'gap' }
  if (moments.kind === 'twice') return { at: moments.first, clockChange: 'overlap' }
  return { at: moments.at, clockChange: null }
}

/** Each moment at which the clock shows one of the wall times. */
function* repeatingAfter(times: Times, at: number): Generator<Moment> {
  for (let from = at + 1; ; ) {
    const next = repeatingFrom(times, from)
    if (next === null) return
    yield repeatingMoment(times.zone, next)
    from = next + 1
  }
}

function* repeatingUpTo(times: Times, at: number): Generator<Moment> {
  for (let to = at; ; ) {
    const previous = repeatingTo(times, to)
    if (previous === null) return
    yield repeatingMoment(times.zone, previous)
    to = previous - 1
  }
}

function repeatingMoment(zone: TimeZone, at: number): Moment {
  const isShownTwice = momentsOf(zone, wallTimeAt(zone, at)).kind === 'twice'
  return { at, clockChange: isShownTwice ? 'overlap' : null }
}

/** The first at or after `from`: with the clock as it is then, or else as it is from its next change on. */
function repeatingFrom({ cron, zone }: Times, from: number): number | null {
  for (let start = from; ; ) {
    const offset = zone.offsetAt(start)
    const wallTime = wallTimeAfter(cron, start + offset - 1)
    if (wallTime === null) return null
    const at = wallTime - offset
    const change = firstChange(zone, start, at)
    if (change === null) return at
    start = change
  }
}

function repeatingTo({ cron, zone }: Times, to: number): number | null {
  for (let end = to; ; ) {
    const offset = zone.offsetAt(end)
    const wallTime = wallTimeBefore(cron, end + offset + 1)
    if (wallTime === null) return null
    const at = wallTime - offset
    const change = lastChange(zone, at, end)
    if (change === null) return at
    end = change - 1
  }
}

function wallTimeAfter(cron: Cron, wallTime: number): number | null {
  return cron.nextRun(new Date(wallTime))?.getTime() ?? null
}

/** croner counts back in whole seconds: from the middle of one it would step over the second's beginning. */
function wallTimeBefore(cron: Cron, wallTime: number): number | null {
  const [found] = cron.previousRuns(1, new Date(Math.ceil(wallTime / 1_000) * 1_000))
  return found?.getTime() ?? null
}
