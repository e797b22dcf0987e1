import type { Selectable } from 'kysely'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import type { ScheduleOccurrencesTable, TenantDb } from '#kit/db/tenant-tables.ts'
import type { Occurrence, OccurrenceReason, OccurrenceStatus } from '../schedules/schedule.ts'
import { readJson, writeJson } from './json.ts'
import { isFree, type Lease } from './leases.ts'

type OccurrenceRow = Selectable<ScheduleOccurrencesTable>

export interface NewOccurrence {
  id: string
  scheduleId: string
  scheduledAt: string
  status: OccurrenceStatus
  reason: OccurrenceReason | null
  missedCount: number
}

/** One that is to be begun. */
export interface OpenOccurrence {
  id: string
  scheduledAt: string
  status: 'due' | 'waiting'
  /** Times somebody took it, those they gave it back at a shutdown left out. */
  attempts: number
  /** Who has it; null: nobody. */
  leaseOwner: string | null
  leaseUntil: string | null
}

const OPEN: readonly OccurrenceStatus[] = ['due', 'waiting']
const COLUMNS = 13
const AT_ONCE = Math.floor(100 / COLUMNS)

/** Those whose moment is written down already stay as they are. */
export async function insertOccurrences(tx: TenantDb, occurrences: readonly NewOccurrence[], at: string) {
  for (let start = 0; start < occurrences.length; start += AT_ONCE) {
    const rows = occurrences.slice(start, start + AT_ONCE).map((occurrence) => toRow(occurrence, at))
    await tx
      .insertInto('schedule_occurrences')
      .values(rows)
      .onConflict((conflict) => conflict.columns(['schedule_id', 'scheduled_at']).doNothing())
      .execute()
  }
}

/** The one of this status that came up first, or null. */
export async function findOldest(
  db: TenantDb,
  scheduleId: string,
  status: OpenOccurrence['status'],
): Promise<OpenOccurrence | null> {
  const row = await db
    .selectFrom('schedule_occurrences')
    .selectAll()
    .where('schedule_id', '=', scheduleId)
    .where('status', '=', status)
    .orderBy('scheduled_at')
    .limit(1)
    .executeTakeFirst()
  return row ? toOpen(row) : null
}

export async function countWaiting(db: TenantDb, scheduleId: string): Promise<number> {
  const { total } = await db
    .selectFrom('schedule_occurrences')
    .select((eb) => eb.fn.countAll<number>().as('total'))
    .where('schedule_id', '=', scheduleId)
    .where('status', '=', 'waiting')
    .executeTakeFirstOrThrow()
  return Number(total)
}

/** True when somebody alive is beginning it. Says the same as `isFree` does in SQL. */
export function isTaken({ leaseOwner, leaseUntil }: OpenOccurrence, lease: Lease, now: string): boolean {
  if (leaseOwner === null || leaseOwner === lease.owner || lease.isSoleProcess) return false
  return leaseUntil !== null && leaseUntil > now
}

/** Takes the lease of an occurrence that nobody is beginning. @returns null when it is not open, or somebody else's */
export async function claimOccurrence(
  tx: TenantDb,
  id: string,
  lease: Lease,
  now: string,
): Promise<OpenOccurrence | null> {
  const row = await tx
    .updateTable('schedule_occurrences')
    .set((eb) => ({
      lease_owner: lease.owner,
      lease_until: lease.until,
      attempts: eb('attempts', '+', 1),
      updated_at: now,
    }))
    .where('id', '=', id)
    .where('status', 'in', [...OPEN])
    .where(isFree(lease, now))
    .returningAll()
    .executeTakeFirst()
  return row ? toOpen(row) : null
}

/** Gives the lease back without an end. @param isCounted  whether it was an attempt */
export async function putBackOccurrence(db: TenantDb, id: string, owner: string, isCounted: boolean): Promise<void> {
  await db
    .updateTable('schedule_occurrences')
    .set((eb) => ({ lease_owner: null, lease_until: null, attempts: eb('attempts', '-', isCounted ? 0 : 1) }))
    .where('id', '=', id)
    .where('status', 'in', [...OPEN])
    .where('lease_owner', '=', owner)
    .execute()
}

/** What becomes of an open occurrence. */
export interface OccurrenceChange {
  status: OccurrenceStatus
  reason: OccurrenceReason | null
  dagId?: string | null
  executionId?: string
}

/**
 * Changes an open occurrence and lets go of it.
 *
 * @param owner  whose it must be; null: whoever calls has locked the schedule, and nobody has the occurrence
 * @returns false when it is not open any more, or somebody else's
 */
export async function changeOccurrence(
  tx: TenantDb,
  id: string,
  owner: string | null,
  { status, reason, dagId, executionId }: OccurrenceChange,
  at: string,
): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('schedule_occurrences')
    .set({
      status,
      reason: writeJson(reason),
      ...(dagId === undefined ? {} : { dag_id: dagId }),
      ...(executionId === undefined ? {} : { execution_id: executionId }),
      lease_owner: null,
      lease_until: null,
      updated_at: at,
    })
    .where('id', '=', id)
    .where('status', 'in', [...OPEN])
    .$if(owner !== null, (query) => query.where('lease_owner', '=', owner))
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Deletes those that are not open and not among the newest `kept`. */
export async function pruneOccurrences(db: TenantDb, scheduleId: string, kept: number): Promise<void> {
  await db
    .deleteFrom('schedule_occurrences')
    .where('schedule_id', '=', scheduleId)
    .where('scheduled_at', '<', (eb) =>
      eb
        .selectFrom('schedule_occurrences as newest')
        .select('newest.scheduled_at')
        .where('newest.schedule_id', '=', scheduleId)
        .orderBy('newest.scheduled_at', 'desc')
        .limit(1)
        .offset(kept - 1),
    )
    .where('status', 'not in', [...OPEN])
    .execute()
}

/** By the moments they came up at, newest first: a page's position names that moment, which a schedule has once. */
export async function listOccurrences(
  db: TenantDb,
  scheduleId: string,
  status: OccurrenceStatus | undefined,
  page: PageRequest,
): Promise<Page<Occurrence>> {
  const query = db.selectFrom((eb) =>
    eb
      .selectFrom('schedule_occurrences')
      .select(['id', 'schedule_id', 'scheduled_at as created_at', 'status', 'reason', 'missed_count'])
      .select(['dag_id', 'execution_id', 'created_at as written_at', 'updated_at'])
      .where('schedule_id', '=', scheduleId)
      .$if(status !== undefined, (filtered) => filtered.where('status', '=', status as string))
      .as('found'),
  )
  const found = await fetchPage(query.selectAll(), page)
  return { ...found, rows: found.rows.map((row) => toOccurrence({ ...row, scheduled_at: row.created_at })) }
}

function toRow(occurrence: NewOccurrence, at: string) {
  return {
    id: occurrence.id,
    schedule_id: occurrence.scheduleId,
    scheduled_at: occurrence.scheduledAt,
    status: occurrence.status,
    reason: writeJson(occurrence.reason),
    missed_count: occurrence.missedCount,
    dag_id: null,
    execution_id: null,
    attempts: 0,
    lease_owner: null,
    lease_until: null,
    created_at: at,
    updated_at: at,
  }
}

function toOpen(row: OccurrenceRow): OpenOccurrence {
  return {
    id: row.id,
    scheduledAt: row.scheduled_at,
    status: row.status as OpenOccurrence['status'],
    attempts: row.attempts,
    leaseOwner: row.lease_owner,
    leaseUntil: row.lease_until,
  }
}

type ListedRow = Omit<OccurrenceRow, 'created_at' | 'attempts' | 'lease_owner' | 'lease_until'> & { written_at: string }

function toOccurrence(row: ListedRow): Occurrence {
  return {
    id: row.id,
    scheduleId: row.schedule_id,
    scheduledAt: row.scheduled_at,
    status: row.status as OccurrenceStatus,
    reason: readJson<OccurrenceReason>(row.reason),
    missedCount: row.missed_count,
    dagId: row.dag_id,
    executionId: row.execution_id,
    createdAt: row.written_at,
    updatedAt: row.updated_at,
  }
}
