import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { limitsOrNull } from '../limits.ts'
import type { SharedParts } from '../parts.ts'
import { assertComesUp, scheduleInvalid } from './cron.ts'
import { retimed } from './retime.ts'
import type { Schedule, SchedulePatch } from './schedule.ts'

/**
 * The schedule after a change; what is left out stays. What has come up before is written down.
 *
 * @param tx  in which the schedule is locked
 * @throws ScheduleInvalid
 */
export async function changedSchedule(
  tx: TenantDb,
  before: Schedule,
  patch: SchedulePatch,
  shared: SharedParts,
): Promise<Schedule> {
  const { cronSchedule = before.cronSchedule, timezone = before.timezone } = patch
  if (patch.cronSchedule !== undefined || patch.timezone !== undefined) assertComesUp(cronSchedule, timezone)
  if (patch.goal !== undefined && before.dagId !== null)
    throw scheduleInvalid('dagId', 'It executes a DAG, so it can have no goal.')
  const { scheduleActive = before.scheduleActive } = patch
  const after = await retimed(tx, before, { cronSchedule, timezone, scheduleActive }, shared)
  return {
    ...after,
    goal: patch.goal ?? before.goal,
    overlapPolicy: patch.overlapPolicy ?? before.overlapPolicy,
    missedRunPolicy: patch.missedRunPolicy ?? before.missedRunPolicy,
    maxMissedRuns: patch.maxMissedRuns ?? before.maxMissedRuns,
    limits: patch.limits === undefined ? before.limits : limitsOrNull(patch.limits ?? undefined),
  }
}
