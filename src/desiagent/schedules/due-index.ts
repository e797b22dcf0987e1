import { addMilliseconds } from '#kit/time.ts'
import type { DesiAgentParts } from '../parts.ts'
import { findOldest, type OpenOccurrence } from '../store/occurrences.ts'
import { findRestless, findSchedule } from '../store/schedules.ts'

/** Whoever changes a schedule has long committed by then; if it died, somebody looks at what it left. */
const CHANGED_WITHIN_MS = 10_000
/** The end of an execution makes its schedule due at once; this is for when nobody could say so. */
const WAITING_IS_LOOKED_AT_AFTER_MS = 60_000

/**
 * Changes a schedule's rows and brings its row in the index of due work into step, whatever comes of the change. The
 * index is written first: a process that dies in between leaves a row that leads to nothing, never a schedule that
 * nobody looks at.
 */
export async function keepIndexed<T>(parts: DesiAgentParts, scheduleId: string, change: () => Promise<T>): Promise<T> {
  const soon = addMilliseconds(parts.shared.now(), CHANGED_WITHIN_MS).toISOString()
  await parts.directory.putDueWork('schedule', scheduleId, soon)
  try {
    return await change()
  } finally {
    // What is committed is committed: the row that was put before brings somebody who sets it right.
    await indexSchedule(parts, scheduleId).catch((err: unknown) =>
      parts.shared.log.warn({ err, tenantId: parts.tenantId, scheduleId }, 'could not index a schedule'),
    )
  }
}

/**
 * Says in the index when somebody has to look at a schedule next. It is looked at again after writing: of two that do
 * this at once, the one that writes last has seen what the other changed.
 */
export async function indexSchedule(parts: DesiAgentParts, scheduleId: string): Promise<void> {
  const { directory, shared } = parts
  const now = shared.now()
  for (let written: string | null | undefined; ; ) {
    const dueAt = await nextLookAt(parts, scheduleId, now)
    if (dueAt === written) return
    if (dueAt === null) await directory.removeDueWork('schedule', scheduleId)
    else await directory.putDueWork('schedule', scheduleId, dueAt)
    written = dueAt
  }
}

/** Null when nothing is to be done for it, or it is gone. */
async function nextLookAt({ db }: DesiAgentParts, scheduleId: string, now: Date): Promise<string | null> {
  const schedule = await findSchedule(db, scheduleId)
  if (!schedule) return null
  const due = await findOldest(db, scheduleId, 'due')
  const waiting = await findOldest(db, scheduleId, 'waiting')
  const oldest = waiting ?? due // only this one may be begun; what came up after it waits for it
  const isHeldUp = waiting !== null && due === null && (await findRestless(db, scheduleId, 1)).length > 0
  const whenHeldUp = addMilliseconds(now, WAITING_IS_LOOKED_AT_AFTER_MS).toISOString()
  const moments = [schedule.nextRunAt, oldest && (isHeldUp ? whenHeldUp : whenFree(oldest, now))]
  return moments.filter((moment) => moment !== null).toSorted()[0] ?? null
}

/** At once, unless somebody is beginning it: then when they should have. */
function whenFree({ leaseUntil }: OpenOccurrence, now: Date): string {
  return leaseUntil ?? now.toISOString()
}
