import { insertMany } from '#kit/db/insert-many.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { ExecutionEvent, NewEvent } from '../events.ts'
import { readJson } from './json.ts'

/** Appends events whose numbers were taken from the execution's counter in the same transaction. */
export async function insertEvents(
  tx: TenantDb,
  executionId: string,
  lastSeq: number,
  events: readonly NewEvent[],
  ts: string,
): Promise<void> {
  const before = lastSeq - events.length
  await insertMany(
    tx,
    'execution_events',
    events.map((event, index) => eventRow(executionId, before + index + 1, event, ts)),
  )
}

/** Appends the same event to the logs of several executions, under the number that was taken for it in each. */
export async function insertEventInEach(
  tx: TenantDb,
  executions: readonly { id: string; seq: number }[],
  event: NewEvent,
  ts: string,
): Promise<void> {
  await insertMany(
    tx,
    'execution_events',
    executions.map(({ id, seq }) => eventRow(id, seq, event, ts)),
  )
}

function eventRow(executionId: string, seq: number, event: NewEvent, ts: string) {
  return {
    execution_id: executionId,
    seq,
    type: event.type,
    data: JSON.stringify(event.data),
    error: 'error' in event ? JSON.stringify(event.error) : null,
    ts,
  }
}

/** Whether this has been told. Looks from the beginning of the log. */
export async function hasEvent(db: TenantDb, executionId: string, type: ExecutionEvent['type']): Promise<boolean> {
  const found = await db
    .selectFrom('execution_events')
    .select('seq')
    .where('execution_id', '=', executionId)
    .where('type', '=', type)
    .orderBy('seq')
    .limit(1)
    .executeTakeFirst()
  return found !== undefined
}

/** The events behind `after`, in order. */
export async function listEvents(
  db: TenantDb,
  executionId: string,
  after: number,
  limit: number,
): Promise<ExecutionEvent[]> {
  const rows = await db
    .selectFrom('execution_events')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('seq', '>', after)
    .orderBy('seq')
    .limit(limit)
    .execute()
  return rows.map((row) => {
    const error = readJson(row.error)
    const event = { seq: row.seq, type: row.type, executionId, ts: row.ts, data: readJson(row.data) ?? {} }
    return (error === null ? event : { ...event, error }) as ExecutionEvent
  })
}
