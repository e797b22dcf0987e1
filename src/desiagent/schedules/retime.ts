import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { SharedParts } from '../parts.ts'
import { writeDownMoments } from './come-up.ts'
import { nextMoment } from './cron.ts'
import type { Schedule } from './schedule.ts'

/** The schedule with another timing. What has come up by the old one is written down first. */
export async function retimed(
  tx: TenantDb,
  before: Schedule,
  timing: Pick<Schedule, 'cronSchedule' | 'scheduleActive' | 'timezone'>,
  shared: SharedParts,
): Promise<Schedule> {
  const current = await writeDownMoments(tx, before, shared)
  const after = { ...current, ...timing, updatedAt: shared.now().toISOString() }
  if (!after.scheduleActive) return { ...after, nextRunAt: null }
  const isSame =
    before.scheduleActive && before.cronSchedule === after.cronSchedule && before.timezone === after.timezone
  if (isSame && after.nextRunAt !== null) return after
  return { ...after, nextRunAt: nextMoment(after.cronSchedule, after.timezone, shared.now()) }
}
