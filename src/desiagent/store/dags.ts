import type { Selectable, Updateable } from 'kysely'
import { insertMany } from '#kit/db/insert-many.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { prepared } from '#kit/db/prepared.ts'
import { foundBy, putSearchWords, removeSearchWords } from '#kit/db/search.ts'
import type { DagInputsTable, DagsTable, TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { Clarification, Dag, DagFilter, DagInput, DagParams, DagStatus, PlanningAttempt } from '../dag.ts'
import type { DecomposerJob } from '../planner/decomposer-job.ts'
import { NO_SCHEDULE, type Schedule, type Timing } from '../schedules/schedule.ts'
import { readJson, writeJson } from './json.ts'
import { findOwnSchedules, findSchedule, listSchedules } from './schedules.ts'

type DagRow = Selectable<DagsTable>

const byId = prepared<TenantTables, { id: string }, DagRow>((db, { id }) =>
  db.selectFrom('dags').selectAll().where('id', '=', id),
)

export async function findDag(db: TenantDb, id: string): Promise<Dag | null> {
  const [row] = await byId(db, { id })
  return row ? toDag(row, await findSchedule(db, id)) : null
}

export async function listDags(db: TenantDb, filter: DagFilter, page: PageRequest): Promise<Page<Dag>> {
  let query = db.selectFrom('dags').selectAll()
  if (filter.status !== undefined) query = query.where('status', '=', filter.status)
  if (filter.agentName !== undefined) query = query.where('agent_name', '=', filter.agentName)
  if (filter.createdFrom !== undefined) query = query.where('created_at', '>=', filter.createdFrom)
  if (filter.createdBefore !== undefined) query = query.where('created_at', '<', filter.createdBefore)
  if (filter.search !== undefined) query = query.where(await foundBy(db, 'dag', 'dags.id', filter.search))
  const found = await fetchPage(query, page)
  const ids = found.rows.map(({ id }) => id)
  const schedules = await findOwnSchedules(db, ids)
  return { ...found, rows: found.rows.map((row) => toDag(row, schedules.get(row.id))) }
}

/** Those with a schedule, by when they got it. @param isActive  only active ones, or only inactive ones */
export async function listScheduledDags(
  db: TenantDb,
  isActive: boolean | undefined,
  page: PageRequest,
): Promise<Page<Dag>> {
  const found = await listSchedules(db, { isOfDag: true, isActive }, page)
  const ids = found.rows.map(({ id }) => id)
  const rows = ids.length === 0 ? [] : await db.selectFrom('dags').selectAll().where('id', 'in', ids).execute()
  const byDag = new Map(rows.map((row) => [row.id, row]))
  const dags = found.rows.flatMap((schedule) => {
    const row = byDag.get(schedule.id)
    return row ? [toDag(row, schedule)] : [] // deleted between the two queries
  })
  return { ...found, rows: dags }
}

export async function insertDag(tx: TenantDb, dag: Dag): Promise<void> {
  await tx
    .insertInto('dags')
    .values({
      id: dag.id,
      title: dag.dagTitle,
      status: dag.status,
      goal_text: dag.goalText,
      agent_name: dag.agentName,
      agent_version: dag.agentVersion,
      params: JSON.stringify(dag.params),
      plan: writeJson(dag.plan),
      clarification_query: dag.clarificationQuery,
      clarifications: JSON.stringify(dag.clarifications),
      planning_attempts: JSON.stringify(dag.planningAttempts),
      error: writeJson(dag.error),
      created_by: dag.createdBy,
      created_at: dag.createdAt,
      updated_at: dag.updatedAt,
    })
    .execute()
  await putSearchWords(tx, 'dag', dag.id, [dag.dagTitle, dag.goalText])
}

export type DagChange = Partial<
  Pick<
    Dag,
    'dagTitle' | 'status' | 'params' | 'plan' | 'clarificationQuery' | 'clarifications' | 'planningAttempts' | 'error'
  >
>

/**
 * Changes a DAG, if (when given) it still has this status.
 *
 * @returns false when there is none, or it has another status by now
 */
export async function updateDag(
  db: TenantDb,
  id: string,
  change: DagChange,
  updatedAt: string,
  expected?: DagStatus,
): Promise<boolean> {
  return transaction(db, async (tx) => {
    const row = await tx
      .updateTable('dags')
      .set({ ...toColumns(change), updated_at: updatedAt })
      .where('id', '=', id)
      .$if(expected !== undefined, (query) => query.where('status', '=', expected as string))
      .returning('goal_text')
      .executeTakeFirst()
    if (!row) return false
    if (change.dagTitle !== undefined) await putSearchWords(tx, 'dag', id, [change.dagTitle, row.goal_text])
    return true
  })
}

/** Deletes it unless it has executions or is being planned. One statement: none can begin in between. */
export async function deleteUnusedDag(db: TenantDb, id: string): Promise<boolean> {
  return transaction(db, async (tx) => {
    const { numDeletedRows } = await tx
      .deleteFrom('dags')
      .where('id', '=', id)
      .where('status', '!=', 'planning')
      .where(({ not, exists, selectFrom }) =>
        not(exists(selectFrom('executions').select('id').where('dag_id', '=', id))),
      )
      .executeTakeFirstOrThrow()
    if (numDeletedRows === 1n) await removeSearchWords(tx, 'dag', id)
    return numDeletedRows === 1n
  })
}

export async function countExecutions(db: TenantDb, dagId: string): Promise<number> {
  const { total } = await db
    .selectFrom('executions')
    .select((eb) => eb.fn.countAll<number>().as('total'))
    .where('dag_id', '=', dagId)
    .executeTakeFirstOrThrow()
  return Number(total)
}

export async function insertDagInputs(tx: TenantDb, dagId: string, inputs: readonly DagInput[]): Promise<void> {
  await insertMany(
    tx,
    'dag_inputs',
    inputs.map((input) => ({
      dag_id: dagId,
      name: input.name,
      content_type: input.contentType,
      size_bytes: input.sizeBytes,
      blob_key: input.blobKey,
    })),
  )
}

export async function listDagInputs(db: TenantDb, dagId: string): Promise<DagInput[]> {
  const rows = await db.selectFrom('dag_inputs').selectAll().where('dag_id', '=', dagId).orderBy('name').execute()
  return rows.map(toInput)
}

function toColumns(change: DagChange): Updateable<DagsTable> {
  const columns: Updateable<DagsTable> = {}
  if (change.dagTitle !== undefined) columns.title = change.dagTitle
  if (change.status !== undefined) columns.status = change.status
  if (change.params !== undefined) columns.params = JSON.stringify(change.params)
  if (change.plan !== undefined) columns.plan = writeJson(change.plan)
  if (change.clarificationQuery !== undefined) columns.clarification_query = change.clarificationQuery
  if (change.clarifications !== undefined) columns.clarifications = JSON.stringify(change.clarifications)
  if (change.planningAttempts !== undefined) columns.planning_attempts = JSON.stringify(change.planningAttempts)
  if (change.error !== undefined) columns.error = writeJson(change.error)
  return columns
}

/** @param schedule  its own */
function toDag(row: DagRow, schedule?: Schedule | null): Dag {
  return {
    id: row.id,
    dagTitle: row.title,
    status: row.status as DagStatus,
    goalText: row.goal_text,
    agentName: row.agent_name,
    agentVersion: row.agent_version,
    params: readJson<DagParams>(row.params) ?? {},
    plan: readJson<DecomposerJob>(row.plan),
    clarificationQuery: row.clarification_query,
    clarifications: readJson<Clarification[]>(row.clarifications) ?? [],
    planningAttempts: readJson<PlanningAttempt[]>(row.planning_attempts) ?? [],
    error: readJson<Dag['error']>(row.error),
    ...timingShown(schedule ?? NO_SCHEDULE),
    createdBy: row.created_by,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}

function timingShown({ cronSchedule, scheduleActive, timezone, nextRunAt, lastRunAt }: Timing) {
  return { cronSchedule, scheduleActive, timezone, nextRunAt, lastRunAt }
}

function toInput(row: Selectable<DagInputsTable>): DagInput {
  return { name: row.name, contentType: row.content_type, sizeBytes: row.size_bytes, blobKey: row.blob_key }
}
