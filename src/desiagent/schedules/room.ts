import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { TooManySchedules } from '../errors.ts'
import { hasSchedules } from '../store/schedules.ts'

const MAX_SCHEDULES = 1_000

/** @param tx  that has locked the whole tenant: two must not both take the last place @throws TooManySchedules */
export async function assertRoom(tx: TenantDb): Promise<void> {
  if (await hasSchedules(tx, MAX_SCHEDULES)) throw new TooManySchedules({ limit: MAX_SCHEDULES })
}
