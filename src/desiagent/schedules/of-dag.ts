import { lockWholeTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { Dag, ScheduleFields } from '../dag.ts'
import type { DesiAgentParts, SharedParts } from '../parts.ts'
import { deleteSchedule, insertSchedule, lockSchedule, updateSchedule } from '../store/schedules.ts'
import { assertComesUp, assertTimezone, nextMoment, scheduleInvalid } from './cron.ts'
import { keepIndexed } from './due-index.ts'
import { retimed } from './retime.ts'
import { assertRoom } from './room.ts'
import { NO_SCHEDULE, type Schedule, type Timing } from './schedule.ts'

/** What a DAG's schedule is made of. */
type Rule = Pick<Timing, 'cronSchedule' | 'scheduleActive' | 'timezone'>

/**
 * The rule after a change: what is left out stays, a new schedule is active unless it is said not to be, and without
 * a schedule there is nothing to activate and no time zone to keep.
 *
 * @throws ScheduleInvalid naming the field that is wrong
 */
export function ruleAfter(change: ScheduleFields, before: Rule): Rule {
  const cronSchedule = change.cronSchedule === undefined ? before.cronSchedule : change.cronSchedule
  const timezone = change.timezone ?? before.timezone
  if (cronSchedule === null) {
    if (change.scheduleActive) throw scheduleInvalid('scheduleActive', 'There is no schedule to activate.')
    if (change.timezone !== undefined) assertNoTimezone(change.timezone)
    return { cronSchedule, scheduleActive: false, timezone: NO_SCHEDULE.timezone }
  }
  assertComesUp(cronSchedule, timezone)
  const isNew = before.cronSchedule === null
  return { cronSchedule, scheduleActive: change.scheduleActive ?? (isNew || before.scheduleActive), timezone }
}

/** It would be forgotten, and a schedule that is set later run at other times than was meant. */
function assertNoTimezone(timezone: string): void {
  assertTimezone(timezone)
  if (timezone !== NO_SCHEDULE.timezone)
    throw scheduleInvalid('timezone', 'There is no schedule it could be meant for.')
}

/**
 * Writes a DAG, with its schedule if it has one, in one transaction.
 *
 * @throws TooManySchedules
 */
export async function withOwnSchedule(
  parts: DesiAgentParts,
  dag: Dag,
  insertDag: (tx: TenantDb) => Promise<void>,
): Promise<void> {
  const { db, shared } = parts
  const { cronSchedule } = dag
  if (cronSchedule === null) return transaction(db, insertDag)
  await keepIndexed(parts, dag.id, () =>
    transaction(db, async (tx) => {
      await lockWholeTenant(tx)
      await assertRoom(tx)
      await insertDag(tx)
      await insertSchedule(tx, ownSchedule(dag.id, { ...dag, cronSchedule }, dag.createdBy, shared.now()))
    }),
  )
}

/** Who changes a DAG's schedule. */
export interface ScheduleChanger {
  /** Null: a service key. */
  userId: string | null
  /** Asked when there is an active schedule, because that begins executions. @throws to refuse the change */
  assertMayExecute(): void
}

/** For whoever embeds desiAgent without users. */
export const ANYBODY: ScheduleChanger = { userId: null, assertMayExecute: () => {} }

export function isAboutSchedule({ cronSchedule, scheduleActive, timezone }: ScheduleFields): boolean {
  return cronSchedule !== undefined || scheduleActive !== undefined || timezone !== undefined
}

/**
 * Changes a DAG and gives it a schedule, changes that or takes it away. What has come up before stays to be begun.
 *
 * @param updateDag  false: the DAG is no longer what it was; nothing is changed then
 * @throws ScheduleInvalid, TooManySchedules, and what the changer throws
 */
export async function changeOwnSchedule(
  parts: DesiAgentParts,
  dagId: string,
  change: ScheduleFields,
  changer: ScheduleChanger,
  updateDag: (tx: TenantDb) => Promise<boolean>,
): Promise<boolean> {
  return keepIndexed(parts, dagId, () =>
    transaction(parts.db, async (tx) => {
      await lockWholeTenant(tx)
      if (!(await updateDag(tx))) return false
      await changeSchedule(tx, dagId, change, changer, parts.shared)
      return true
    }),
  )
}

async function changeSchedule(
  tx: TenantDb,
  dagId: string,
  change: ScheduleFields,
  changer: ScheduleChanger,
  shared: SharedParts,
): Promise<void> {
  const before = await lockSchedule(tx, dagId)
  const { cronSchedule, ...rule } = ruleAfter(change, before ?? NO_SCHEDULE)
  if (rule.scheduleActive) changer.assertMayExecute()
  if (cronSchedule === null) {
    await deleteSchedule(tx, dagId)
  } else if (before) {
    await updateSchedule(tx, await retimed(tx, before, { ...rule, cronSchedule }, shared))
  } else {
    await assertRoom(tx)
    await insertSchedule(tx, ownSchedule(dagId, { ...rule, cronSchedule }, changer.userId, shared.now()))
  }
}

function ownSchedule(
  dagId: string,
  { cronSchedule, scheduleActive, timezone }: Pick<Schedule, 'cronSchedule' | 'scheduleActive' | 'timezone'>,
  createdBy: string | null,
  now: Date,
): Schedule {
  const at = now.toISOString()
  return {
    id: dagId,
    dagId,
    isOfDag: true,
    goal: null,
    cronSchedule,
    timezone,
    scheduleActive,
    overlapPolicy: 'skip',
    missedRunPolicy: 'once',
    maxMissedRuns: 1,
    limits: null,
    nextRunAt: scheduleActive ? nextMoment(cronSchedule, timezone, now) : null,
    lastRunAt: null,
    createdBy,
    createdAt: at,
    updatedAt: at,
  }
}
