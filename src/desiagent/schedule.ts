import { Cron } from 'croner'
import cronstrue from 'cronstrue'
import type { Dag, ScheduleFields } from './dag.ts'
import { ScheduleInvalid } from './errors.ts'

export type Schedule = Pick<Dag, 'cronSchedule' | 'scheduleActive' | 'timezone'>

export const NO_SCHEDULE: Schedule = { cronSchedule: null, scheduleActive: false, timezone: 'UTC' }

/**
 * The schedule after a change: what is left out stays, a new schedule is active unless it is said not to be, and without
 * a schedule nothing is active.
 *
 * @throws ScheduleInvalid naming the field that is wrong
 */
export function scheduleOf(change: ScheduleFields, before: Schedule, now: Date): Schedule {
  const cronSchedule = change.cronSchedule === undefined ? before.cronSchedule : change.cronSchedule
  const timezone = change.timezone ?? before.timezone
  assertTimezone(timezone)
  if (cronSchedule === null) {
    if (change.scheduleActive) throw invalid('scheduleActive', 'There is no schedule to activate.')
    return { cronSchedule, scheduleActive: false, timezone }
  }
  assertCron(cronSchedule, timezone, now)
  const isNew = before.cronSchedule === null
  return { cronSchedule, scheduleActive: change.scheduleActive ?? (isNew || before.scheduleActive), timezone }
}

/** The schedule in words, in English; null without one. */
export function describeSchedule({ cronSchedule }: Schedule): string | null {
  return cronSchedule === null ? null : inWords(cronSchedule)
}

/** When an active schedule comes up next (ISO 8601); null when it never does. */
export function nextRun({ cronSchedule, scheduleActive, timezone }: Schedule, after: Date): string | null {
  if (cronSchedule === null || !scheduleActive) return null
  return cronOf(cronSchedule, timezone).nextRun(after)?.toISOString() ?? null
}

/** Names only: Intl takes offsets such as `+05:30` as well, and they know no daylight saving. */
function assertTimezone(timezone: string): void {
  try {
    new Intl.DateTimeFormat('en', { timeZone: timezone })
    if (/^[A-Za-z]/.test(timezone)) return
  } catch {
    // the same as an offset
  }
  throw invalid('timezone', 'This is no IANA time zone.')
}

function assertCron(cronSchedule: string, timezone: string, now: Date): void {
  if (!isUnderstood(cronSchedule, timezone)) {
    throw invalid(
      'cronSchedule',
      'Five fields are needed (minute, hour, day of month, month, day of week), each within its range, or a word such as @daily.',
    )
  }
  if (cronOf(cronSchedule, timezone).nextRun(now) === null) throw invalid('cronSchedule', 'This moment never comes.')
}

/** By both libraries: croner takes dates and signs that cronstrue has no words for, and what is kept must be told. */
function isUnderstood(cronSchedule: string, timezone: string): boolean {
  try {
    cronOf(cronSchedule, timezone)
    return inWords(cronSchedule) !== ''
  } catch {
    return false
  }
}

function inWords(cronSchedule: string): string {
  return cronstrue.toString(cronSchedule, { use24HourTimeFormat: true, verbose: true })
}

/** Five fields only: nothing is run more than once a minute. */
function cronOf(cronSchedule: string, timezone: string): Cron {
  return new Cron(cronSchedule, { timezone, mode: '5-part', paused: true })
}

function invalid(field: 'cronSchedule' | 'timezone' | 'scheduleActive', reason: string) {
  return new ScheduleInvalid({ field, reason }, { message: reason })
}
