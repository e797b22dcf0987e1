import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { ProductError } from '#kit/errors.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { dagsOf } from '../dags.ts'
import type { executionsOf } from '../executions.ts'
import type { DesiAgentParts, SharedParts } from '../parts.ts'
import type { Lease } from '../store/leases.ts'
import * as occurrences from '../store/occurrences.ts'
import { findRestless, lockSchedule } from '../store/schedules.ts'
import { beginOccurrence } from './begin.ts'
import { noteMoments } from './come-up.ts'
import { indexSchedule } from './due-index.ts'
import type { OccurrenceReason, Schedule } from './schedule.ts'

const MAX_WAITING = 100
/** Times an occurrence is taken by a process that dies over it, or fails unexpectedly. */
const MAX_ATTEMPTS = 3
const KEPT_OCCURRENCES = 1_000
const CANCELLED_AT_ONCE = 20

const QUEUE_FULL: OccurrenceReason = { code: 'queue_full', message: `${MAX_WAITING} occurrences wait already.` }
const GIVEN_UP: OccurrenceReason = {
  code: 'interrupted',
  message: `The server stopped or failed ${MAX_ATTEMPTS} times while it was beginning this.`,
}

/** What firing needs of the rest of desiAgent. */
export interface Firing {
  parts: DesiAgentParts
  dags: ReturnType<typeof dagsOf>
  executions: Pick<ReturnType<typeof executionsOf>, 'cancel'>
}

/**
 * Does everything that is due for a schedule: writes down what has come up, and begins what is to be begun, oldest
 * first. Safe to call at any time, and in several processes at once: the schedule's row is locked to decide, and only
 * whoever holds the lease of its oldest open occurrence begins anything.
 *
 * @param isAtIt  this process is beginning its occurrences already, which may take minutes: then what has come up in the
 *                meantime is only written down
 * @throws what nobody expected; it stays due
 */
export async function fireSchedule(firing: Firing, scheduleId: string, isAtIt: boolean): Promise<void> {
  const { parts } = firing
  const { db, shared } = parts
  await noteMoments(parts, scheduleId)
  if (!isAtIt) while (!shared.running.isDraining && (await takeStep(firing, scheduleId))) {}
  await occurrences.pruneOccurrences(db, scheduleId, KEPT_OCCURRENCES)
  await indexSchedule(parts, scheduleId)
}

type Step =
  /** Nothing can be done now. */
  | { kind: 'rest' }
  /** An occurrence got its end, or waits; there may be more. */
  | { kind: 'settled' }
  | { kind: 'cancel'; executionIds: string[] }
  | { kind: 'begin'; schedule: Schedule; occurrence: occurrences.OpenOccurrence }

const REST: Step = { kind: 'rest' }

/** @returns whether there may be more to do */
async function takeStep(firing: Firing, scheduleId: string): Promise<boolean> {
  const { db, shared } = firing.parts
  const step = await transaction(db, (tx) => nextStep(tx, shared, scheduleId))
  if (step.kind === 'begin') await beginOccurrence({ ...firing, ...step })
  if (step.kind === 'cancel') for (const id of step.executionIds) await cancelUnlessOver(firing, id)
  return step.kind !== 'rest'
}

async function nextStep(tx: TenantDb, shared: SharedParts, scheduleId: string): Promise<Step> {
  const schedule = await lockSchedule(tx, scheduleId)
  if (!schedule) return REST
  const due = await occurrences.findOldest(tx, scheduleId, 'due')
  const oldest = (await occurrences.findOldest(tx, scheduleId, 'waiting')) ?? due // what waits came up before
  // One that somebody is beginning holds up what came after it, as its execution will.
  if (!oldest || occurrences.isTaken(oldest, leaseOf(shared), nowIso(shared))) return REST
  const restless = await findRestless(tx, scheduleId, CANCELLED_AT_ONCE)
  if (restless.length === 0) return claim(tx, shared, schedule, oldest)
  return due ? overlap(tx, shared, schedule, due, restless) : REST
}

async function claim(
  tx: TenantDb,
  shared: SharedParts,
  schedule: Schedule,
  { id }: occurrences.OpenOccurrence,
): Promise<Step> {
  const occurrence = await occurrences.claimOccurrence(tx, id, leaseOf(shared), nowIso(shared))
  if (!occurrence) return REST
  if (occurrence.attempts <= MAX_ATTEMPTS) return { kind: 'begin', schedule, occurrence }
  return settle(tx, shared, id, { status: 'failed', reason: GIVEN_UP })
}

/** What the policy says of an occurrence that comes up while executions of its schedule have not come to rest. */
async function overlap(
  tx: TenantDb,
  shared: SharedParts,
  { id: scheduleId, overlapPolicy }: Schedule,
  { id }: occurrences.OpenOccurrence,
  restless: string[],
): Promise<Step> {
  if (overlapPolicy === 'cancel_previous') return { kind: 'cancel', executionIds: restless }
  const message = `Execution ${restless[0]} has not come to rest.`
  const reason: OccurrenceReason = { code: 'overlap', message }
  if (overlapPolicy === 'skip') return settle(tx, shared, id, { status: 'skipped', reason })
  const isFull = (await occurrences.countWaiting(tx, scheduleId)) >= MAX_WAITING
  if (isFull) return settle(tx, shared, id, { status: 'skipped', reason: QUEUE_FULL })
  return settle(tx, shared, id, { status: 'waiting', reason })
}

/** Nobody has it: the schedule is locked, and it was looked at behind the lock. */
async function settle(
  tx: TenantDb,
  shared: SharedParts,
  id: string,
  change: occurrences.OccurrenceChange,
): Promise<Step> {
  await occurrences.changeOccurrence(tx, id, null, change, nowIso(shared))
  return { kind: 'settled' }
}

async function cancelUnlessOver({ executions }: Firing, executionId: string): Promise<void> {
  try {
    await executions.cancel(executionId)
  } catch (error) {
    if (!(error instanceof ProductError)) throw error // it has ended, or was deleted
  }
}

function leaseOf({ now, settings, running }: SharedParts): Lease {
  const until = addMilliseconds(now(), settings.leaseMs).toISOString()
  return { owner: running.owner, until, isSoleProcess: settings.isSoleProcess }
}

function nowIso({ now }: SharedParts): string {
  return now().toISOString()
}
