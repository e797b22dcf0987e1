import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await limitsAndPauses(db)
  await toolCalls(db)
  await schedules(db)
  await occurrences(db)
  await moveSchedulesOfDags(db)
}

async function limitsAndPauses(db: Kysely<unknown>): Promise<void> {
  const add = (name: string) => db.schema.alterTable('executions').addColumn(name, 'text').execute()
  const addCounter = (name: string) =>
    db.schema
      .alterTable('executions')
      .addColumn(name, 'bigint', (c) => c.notNull().defaultTo(0))
      .execute()
  await add('pause_requested_at') // it pauses when the sub-steps in flight have ended
  await add('schedule_id') // whose occurrence began it
  await add('limits') // JSON; null: none
  await addCounter('ran_ms') // how long it ran, as of its last change
  await addCounter('steps_begun')
  // What counts against the limits: what was used, and where nobody knows what a call used, the most it can have been.
  await addCounter('charged_tokens')
  await addCounter('charged_cost_usd_micros')
  // Set aside for calls in flight.
  await addCounter('reserved_tokens')
  await addCounter('reserved_cost_usd_micros')
  await chargeWhatWasUsed(db as Kysely<Before>)
  await db.schema
    .createIndex('executions_by_schedule')
    .on('executions')
    .columns(['schedule_id', 'status', 'created_at', 'id'])
    .execute()
}

/** What tools were called with, word for word: references filled in. Committed with what came of the call. */
async function toolCalls(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tool_calls')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('execution_id', 'text', (c) => c.notNull().references('executions.id').onDelete('cascade'))
    .addColumn('sub_step_id', 'text', (c) => c.notNull())
    .addColumn('attempt', 'integer', (c) => c.notNull())
    .addColumn('tool_name', 'text', (c) => c.notNull())
    .addColumn('arguments', 'text', (c) => c.notNull()) // JSON
    .addColumn('idempotency_key', 'text', (c) => c.notNull())
    .addColumn('error_code', 'text')
    .addColumn('duration_ms', 'bigint', (c) => c.notNull())
    .addColumn('created_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('tool_calls_by_execution')
    .on('tool_calls')
    .columns(['execution_id', 'sub_step_id', 'attempt'])
    .execute()
}

async function schedules(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('schedules')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('dag_id', 'text', (c) => c.references('dags.id').onDelete('cascade')) // null: a goal
    .addColumn('is_of_dag', 'integer', (c) => c.notNull()) // 1: the DAG's own; its id is the DAG's
    .addColumn('goal', 'text') // JSON: planned anew each time; null: a DAG
    .addColumn('cron_schedule', 'text', (c) => c.notNull())
    .addColumn('timezone', 'text', (c) => c.notNull()) // IANA
    .addColumn('is_active', 'integer', (c) => c.notNull())
    .addColumn('overlap_policy', 'text', (c) => c.notNull()) // skip | enqueue | cancel_previous
    .addColumn('missed_run_policy', 'text', (c) => c.notNull()) // skip | once | all
    .addColumn('max_missed_runs', 'integer', (c) => c.notNull())
    .addColumn('limits', 'text') // JSON: of each execution
    .addColumn('next_run_at', 'text') // null: not active, or not known yet
    .addColumn('last_run_at', 'text')
    .addColumn('created_by', 'text')
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .execute()
  const index = (name: string, columns: string[]) =>
    db.schema.createIndex(name).on('schedules').columns(columns).execute()
  await index('schedules_by_creation', ['created_at', 'id'])
  await index('schedules_by_activity', ['is_active', 'created_at', 'id'])
  await index('schedules_by_dag', ['dag_id', 'created_at', 'id'])
  await index('schedules_of_dags', ['is_of_dag', 'created_at', 'id'])
  await index('schedules_of_dags_by_activity', ['is_of_dag', 'is_active', 'created_at', 'id'])
}

/** What became of each moment a schedule came up. */
async function occurrences(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('schedule_occurrences')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('schedule_id', 'text', (c) => c.notNull().references('schedules.id').onDelete('cascade'))
    .addColumn('scheduled_at', 'text', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull()) // due | waiting | started | skipped | failed
    .addColumn('reason', 'text') // JSON { code, message }
    .addColumn('missed_count', 'integer', (c) => c.notNull()) // of a row that stands for many; else 0
    .addColumn('dag_id', 'text') // what is executed; no reference: it may be deleted
    .addColumn('execution_id', 'text') // no reference, for the same reason
    .addColumn('attempts', 'integer', (c) => c.notNull())
    .addColumn('lease_owner', 'text') // the process that starts it
    .addColumn('lease_until', 'text')
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .addUniqueConstraint('schedule_occurrences_moment', ['schedule_id', 'scheduled_at'])
    .execute()
  await db.schema
    .createIndex('schedule_occurrences_by_status')
    .on('schedule_occurrences')
    .columns(['schedule_id', 'status', 'scheduled_at'])
    .execute()
}

interface Before {
  executions: Record<string, unknown>
  dags: {
    id: string
    cron_schedule: string | null
    schedule_active: number
    timezone: string
    last_run_at: string | null
    created_by: string | null
    created_at: string
    updated_at: string
  }
  schedules: Record<string, unknown>
}

/** Limits that are set when one of these is resumed count what it used before. */
async function chargeWhatWasUsed(db: Kysely<Before>): Promise<void> {
  await db
    .updateTable('executions')
    .set({
      charged_tokens: sql`prompt_tokens + completion_tokens`,
      charged_cost_usd_micros: sql.ref('cost_usd_micros'),
      steps_begun: sql`(select count(*) from ${sql.table('sub_steps')} where execution_id = executions.id and started_at is not null)`,
    })
    .execute()
}

/** Schedules were kept with their DAGs, and never fired. They get their next moment when the tenant is indexed. */
async function moveSchedulesOfDags(untyped: Kysely<unknown>): Promise<void> {
  const db = untyped as Kysely<Before>
  await db
    .insertInto('schedules')
    .columns([
      'id',
      'dag_id',
      'is_of_dag',
      'cron_schedule',
      'timezone',
      'is_active',
      'overlap_policy',
      'missed_run_policy',
      'max_missed_runs',
      'last_run_at',
      'created_by',
      'created_at',
      'updated_at',
    ])
    .expression((eb) =>
      eb
        .selectFrom('dags')
        .select([
          'id',
          'id as dag_id',
          eb.lit(1).as('is_of_dag'),
          'cron_schedule',
          'timezone',
          'schedule_active',
          sql.lit('skip').as('overlap_policy'),
          sql.lit('once').as('missed_run_policy'),
          eb.lit(1).as('max_missed_runs'),
          'last_run_at',
          'created_by',
          'created_at',
          'updated_at',
        ])
        .where('cron_schedule', 'is not', null),
    )
    .execute()
  await db.schema.dropIndex('dags_scheduled').execute()
  await db.schema.dropIndex('dags_scheduled_by_creation').execute()
  for (const column of ['cron_schedule', 'schedule_active', 'timezone', 'last_run_at']) {
    await db.schema.alterTable('dags').dropColumn(column).execute()
  }
}
