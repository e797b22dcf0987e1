import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { DesiAgentParts, SharedParts } from '../parts.ts'
import { insertOccurrences, type NewOccurrence } from '../store/occurrences.ts'
import { lockSchedule, setNextRun } from '../store/schedules.ts'
import { nextMoment } from './cron.ts'
import { momentsUpTo } from './moments.ts'
import type { OccurrenceReason, Schedule } from './schedule.ts'

/** What lies further back is missed. */
const ON_TIME_MS = 60_000
/** Missed moments with a row of their own, when they are not made up for; those before them share one. */
const MISSED_ROWS = 100
/** A server that was down for years does not count every minute of them. */
const COUNTED_IN_ONE_ROW = 1_000

const MISSED: OccurrenceReason = { code: 'missed', message: 'It passed while no server could begin it.' }

/** Writes down what has come up. Soon after: what is written down more than a minute late counts as missed. */
export async function noteMoments({ db, shared }: DesiAgentParts, scheduleId: string): Promise<void> {
  await transaction(db, async (tx) => {
    const schedule = await lockSchedule(tx, scheduleId)
    if (schedule) await writeDownMoments(tx, schedule, shared)
  })
}

/**
 * Writes down the moments that have come up since the last time, each with what is to become of it, and moves the
 * schedule on to its next one. Belongs behind `lockSchedule` in the same transaction: then no moment is written twice.
 */
export async function writeDownMoments(
  tx: TenantDb,
  schedule: Schedule,
  { now, newId }: Pick<SharedParts, 'now' | 'newId'>,
): Promise<Schedule> {
  const { id, cronSchedule, timezone } = schedule
  const moment = now()
  const hasComeUp = schedule.nextRunAt !== null && Date.parse(schedule.nextRunAt) <= moment.getTime()
  if (!hasComeUp) return schedule
  const { due, missed } = sortOut(schedule, moment.getTime())
  const base = { scheduleId: id, missedCount: 0 }
  const rows: NewOccurrence[] = [
    ...due.map((at) => ({ ...base, id: newId(), scheduledAt: toIso(at), status: 'due' as const, reason: null })),
    ...missed.map(({ at, count }) => ({
      ...base,
      id: newId(),
      scheduledAt: toIso(at),
      status: 'skipped' as const,
      reason: MISSED,
      missedCount: count,
    })),
  ]
  await insertOccurrences(tx, rows, moment.toISOString())
  const nextRunAt = nextMoment(cronSchedule, timezone, moment)
  await setNextRun(tx, id, nextRunAt)
  return { ...schedule, nextRunAt }
}

interface SortedOut {
  /** Epoch milliseconds. */
  due: number[]
  /** `count`: how many moments up to its own the row stands for, at least; 0: only its own. */
  missed: { at: number; count: number }[]
}

function sortOut(schedule: Schedule, now: number): SortedOut {
  const since = Date.parse(schedule.nextRunAt as string)
  const [due, missed]: [number[], SortedOut['missed']] = [[], []]
  let madeUpFor = madeUpForBy(schedule)
  let older = { at: 0, count: 0 }
  for (const { at } of momentsUpTo(schedule.cronSchedule, schedule.timezone, now)) {
    if (at < since || older.count >= COUNTED_IN_ONE_ROW) break
    if (at >= now - ON_TIME_MS) {
      due.push(at)
      if (schedule.missedRunPolicy === 'once') madeUpFor = 0 // it makes up for what was missed
    } else if (madeUpFor > 0) {
      madeUpFor -= 1
      due.push(at)
    } else if (missed.length < MISSED_ROWS) missed.push({ at, count: 0 })
    else older = { at: older.count === 0 ? at : older.at, count: older.count + 1 }
  }
  if (older.count > 0) missed.push({ at: older.at, count: older.count === 1 ? 0 : older.count })
  return { due, missed }
}

/** How many missed moments are begun all the same, the newest ones. */
function madeUpForBy({ missedRunPolicy, maxMissedRuns }: Schedule): number {
  if (missedRunPolicy === 'skip') return 0
  return missedRunPolicy === 'once' ? 1 : maxMissedRuns
}

function toIso(at: number): string {
  return new Date(at).toISOString()
}
