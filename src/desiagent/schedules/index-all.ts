import type { Position } from '#kit/db/page.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { DesiAgentParts } from '../parts.ts'
import { listUnplaced, lockSchedule, setNextRun } from '../store/schedules.ts'
import { nextMoment } from './cron.ts'
import { keepIndexed } from './due-index.ts'

const AT_ONCE = 100

/** Gives schedules that were kept before any could fire their next moment, from now on, and their row in the index. */
export async function indexAll(parts: DesiAgentParts): Promise<void> {
  for (let behind: Position | null = null; ; ) {
    const found: Position[] = await listUnplaced(parts.db, behind, AT_ONCE)
    for (const { id } of found) await place(parts, id)
    behind = found.at(-1) ?? null
    if (found.length < AT_ONCE) break
  }
  await parts.directory.removeDueWork('schedule_index', parts.tenantId)
}

async function place(parts: DesiAgentParts, id: string): Promise<void> {
  const { db, shared, tenantId } = parts
  try {
    await keepIndexed(parts, id, () =>
      transaction(db, async (tx) => {
        const schedule = await lockSchedule(tx, id)
        if (!schedule?.scheduleActive || schedule.nextRunAt !== null) return // somebody was quicker
        await setNextRun(tx, id, nextMoment(schedule.cronSchedule, schedule.timezone, shared.now()))
      }),
    )
  } catch (error) {
    // One that cannot be read must not hold up the others: nobody would fire them.
    shared.log.error({ err: error, tenantId, scheduleId: id }, 'a schedule could not be given its next moment')
  }
}
