import type { Insertable, Selectable } from 'kysely'
import { fetchPage, type Page, type PageRequest, type Position } from '#kit/db/page.ts'
import { prepared } from '#kit/db/prepared.ts'
import type { SchedulesTable, TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import type { ExecutionLimits } from '../limits.ts'
import type { MissedRunPolicy, OverlapPolicy, Schedule, ScheduledGoal, ScheduleFilter } from '../schedules/schedule.ts'
import { readJson, writeJson } from './json.ts'

type ScheduleRow = Selectable<SchedulesTable>

const byId = prepared<TenantTables, { id: string }, ScheduleRow>((db, { id }) =>
  db.selectFrom('schedules').selectAll().where('id', '=', id),
)

export async function findSchedule(db: TenantDb, id: string): Promise<Schedule | null> {
  const [row] = await byId(db, { id })
  return row ? toSchedule(row) : null
}

/** What these DAGs show as their own schedules, by the DAG's id. @param dagIds  at most 100 */
export async function findOwnSchedules(db: TenantDb, dagIds: readonly string[]): Promise<Map<string, Schedule>> {
  if (dagIds.length === 0) return new Map()
  const query = db.selectFrom('schedules').selectAll().where('id', 'in', dagIds)
  const rows = await query.where((eb) => eb('is_of_dag', '=', eb.lit(1))).execute()
  return new Map(rows.map((row) => [row.id, toSchedule(row)]))
}

export async function listSchedules(
  db: TenantDb,
  filter: ScheduleFilter & { isOfDag?: true },
  page: PageRequest,
): Promise<Page<Schedule>> {
  let query = db.selectFrom('schedules').selectAll()
  if (filter.isOfDag) query = query.where('is_of_dag', '=', 1)
  if (filter.dagId !== undefined) query = query.where('dag_id', '=', filter.dagId)
  if (filter.isActive !== undefined) query = query.where('is_active', '=', filter.isActive ? 1 : 0)
  const found = await fetchPage(query, page)
  return { ...found, rows: found.rows.map(toSchedule) }
}

/** The ids of all schedules that execute this DAG. A tenant has few enough of them. */
export async function listScheduleIdsOfDag(db: TenantDb, dagId: string): Promise<string[]> {
  const rows = await db.selectFrom('schedules').select('id').where('dag_id', '=', dagId).execute()
  return rows.map(({ id }) => id)
}

/** Active ones whose next moment nobody has looked for yet, oldest first. */
export async function listUnplaced(db: TenantDb, behind: Position | null, limit: number): Promise<Position[]> {
  let query = db.selectFrom('schedules').select(['created_at', 'id']).where('is_active', '=', 1)
  if (behind) {
    query = query.where((eb) => eb(eb.refTuple('created_at', 'id'), '>', eb.tuple(behind.createdAt, behind.id)))
  }
  const rows = await query.where('next_run_at', 'is', null).orderBy('created_at').orderBy('id').limit(limit).execute()
  return rows.map((row) => ({ createdAt: row.created_at, id: row.id }))
}

/** True when there are this many, or more. Reads no more rows than that. */
export async function hasSchedules(db: TenantDb, count: number): Promise<boolean> {
  const last = await db
    .selectFrom('schedules')
    .select('id')
    .orderBy('created_at')
    .orderBy('id')
    .limit(1)
    .offset(count - 1)
    .executeTakeFirst()
  return last !== undefined
}

export async function insertSchedule(tx: TenantDb, schedule: Schedule): Promise<void> {
  await tx.insertInto('schedules').values(toRow(schedule)).execute()
}

/** Writes all of a schedule that can be changed. Belongs behind `lockSchedule` in the same transaction. */
export async function updateSchedule(tx: TenantDb, schedule: Schedule): Promise<void> {
  const { id, dag_id: _dag, is_of_dag: _own, created_by: _by, created_at: _at, ...changeable } = toRow(schedule)
  await tx.updateTable('schedules').set(changeable).where('id', '=', id).execute()
}

/** Makes everybody else who asks for the same wait for the end of this transaction. @returns null when there is none */
export async function lockSchedule(tx: TenantDb, id: string): Promise<Schedule | null> {
  const row = await tx
    .updateTable('schedules')
    .set((eb) => ({ updated_at: eb.ref('updated_at') }))
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
  return row ? toSchedule(row) : null
}

export async function setNextRun(tx: TenantDb, id: string, nextRunAt: string | null): Promise<void> {
  await tx.updateTable('schedules').set({ next_run_at: nextRunAt }).where('id', '=', id).execute()
}

export async function setLastRun(tx: TenantDb, id: string, lastRunAt: string): Promise<void> {
  await tx.updateTable('schedules').set({ last_run_at: lastRunAt }).where('id', '=', id).execute()
}

/** Deletes it with its occurrences. @returns false when there is none */
export async function deleteSchedule(tx: TenantDb, id: string): Promise<boolean> {
  const { numDeletedRows } = await tx.deleteFrom('schedules').where('id', '=', id).executeTakeFirstOrThrow()
  return numDeletedRows === 1n
}

/** Executions it began that have not come to rest, at most `limit`. A suspended one rests. */
export async function findRestless(db: TenantDb, scheduleId: string, limit: number): Promise<string[]> {
  const rows = await db
    .selectFrom('executions')
    .select('id')
    .where('schedule_id', '=', scheduleId)
    .where('status', 'in', ['pending', 'running', 'waiting', 'paused'])
    .limit(limit)
    .execute()
  return rows.map(({ id }) => id)
}

/** Whether this DAG is executed by itself. */
export async function isScheduled(db: TenantDb, dagId: string): Promise<boolean> {
  const found = await db
    .selectFrom('schedules')
    .select('id')
    .where('dag_id', '=', dagId)
    .where('is_active', '=', 1)
    .limit(1)
    .executeTakeFirst()
  return found !== undefined
}

function toRow(schedule: Schedule): Insertable<SchedulesTable> {
  return {
    id: schedule.id,
    dag_id: schedule.dagId,
    is_of_dag: schedule.isOfDag ? 1 : 0,
    goal: writeJson(schedule.goal),
    cron_schedule: schedule.cronSchedule,
    timezone: schedule.timezone,
    is_active: schedule.scheduleActive ? 1 : 0,
    overlap_policy: schedule.overlapPolicy,
    missed_run_policy: schedule.missedRunPolicy,
    max_missed_runs: schedule.maxMissedRuns,
    limits: writeJson(schedule.limits),
    next_run_at: schedule.nextRunAt,
    last_run_at: schedule.lastRunAt,
    created_by: schedule.createdBy,
    created_at: schedule.createdAt,
    updated_at: schedule.updatedAt,
  }
}

function toSchedule(row: ScheduleRow): Schedule {
  return {
    id: row.id,
    dagId: row.dag_id,
    isOfDag: row.is_of_dag === 1,
    goal: readJson<ScheduledGoal>(row.goal),
    cronSchedule: row.cron_schedule,
    timezone: row.timezone,
    scheduleActive: row.is_active === 1,
    overlapPolicy: row.overlap_policy as OverlapPolicy,
    missedRunPolicy: row.missed_run_policy as MissedRunPolicy,
    maxMissedRuns: row.max_missed_runs,
    limits: readJson<ExecutionLimits>(row.limits),
    nextRunAt: row.next_run_at,
    lastRunAt: row.last_run_at,
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
