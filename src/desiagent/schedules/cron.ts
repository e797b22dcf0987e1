import cronstrue from 'cronstrue'
import { ScheduleInvalid } from '../errors.ts'
import { cronOf, momentsAfter } from './moments.ts'
import { timeZoneOf } from './time-zone.ts'

/** @throws ScheduleInvalid naming the field that is wrong */
export function assertComesUp(cronSchedule: string, timezone: string): void {
  assertTimezone(timezone)
  if (!isUnderstood(cronSchedule)) {
    throw scheduleInvalid(
      'cronSchedule',
      'Five fields are needed (minute, hour, day of month, month, day of week), each within its range, or a word such as @daily.',
    )
  }
  if (cronOf(cronSchedule).nextRun(new Date(0)) === null) {
    throw scheduleInvalid('cronSchedule', 'This moment never comes.')
  }
}

/** Names only: Intl takes offsets such as `+05:30` as well, and they know no daylight saving. @throws ScheduleInvalid */
export function assertTimezone(timezone: string): void {
  try {
    timeZoneOf(timezone)
    if (/^[A-Za-z]/.test(timezone)) return
  } catch {
    // the same as an offset
  }
  throw scheduleInvalid('timezone', 'This is no IANA time zone.')
}

/** The schedule in words, in English. */
export function describeCron(cronSchedule: string): string {
  return cronstrue.toString(cronSchedule, { use24HourTimeFormat: true, verbose: true })
}

/** When it comes up next (ISO 8601); null when it never does. */
export function nextMoment(cronSchedule: string, timezone: string, after: Date): string | null {
  const { value } = momentsAfter(cronSchedule, timezone, after.getTime()).next()
  return value ? new Date(value.at).toISOString() : null
}

/** By both libraries: croner takes dates and signs that cronstrue has no words for, and what is kept must be told. */
function isUnderstood(cronSchedule: string): boolean {
  try {
    cronOf(cronSchedule)
    if (isExtended(cronSchedule)) return false
    return describeCron(cronSchedule) !== ''
  } catch {
    return false
  }
}

const NAMES = /\b(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)(?=[^a-z]|l?$)/gi

/**
 * Beside crontab(5) three signs are taken, each where it has one meaning: the last day of the month (`L` as its field),
 * the last or the nth of a weekday (`FRIL`, `FRI#2`). In lists, ranges and other places crons differ about them.
 */
function isExtended(cronSchedule: string): boolean {
  if (cronSchedule.startsWith('@')) return false
  const [minute = '', hour = '', day = '', month = '', weekday = ''] = cronSchedule.split(/\s+/)
  const isWhole = day.toUpperCase() === 'L' || !hasSigns(day)
  const isOneWeekday = /^[0-7](L|#[1-5])$/i.test(weekday.replace(NAMES, '0')) || !hasSigns(weekday)
  return !isWhole || !isOneWeekday || [minute, hour, month].some(hasSigns)
}

function hasSigns(field: string): boolean {
  return /[a-z#?+]/i.test(field.replace(NAMES, ''))
}

export function scheduleInvalid(field: 'cronSchedule' | 'timezone' | 'scheduleActive' | 'dagId', reason: string) {
  return new ScheduleInvalid({ field, reason }, { message: reason })
}
