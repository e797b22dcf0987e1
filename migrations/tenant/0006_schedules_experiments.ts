import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('dags').addColumn('cron_schedule', 'text').execute()
  await db.schema
    .alterTable('dags')
    .addColumn('schedule_active', 'integer', (c) => c.notNull().defaultTo(0))
    .execute()
  await db.schema
    .alterTable('dags')
    .addColumn('timezone', 'text', (c) => c.notNull().defaultTo('UTC')) // IANA
    .execute()
  await db.schema.alterTable('dags').addColumn('last_run_at', 'text').execute()
  await db.schema.alterTable('dags').addColumn('created_by', 'text').execute() // user; null: a service key
  await db.schema
    .createIndex('dags_scheduled')
    .on('dags')
    .columns(['schedule_active', 'created_at', 'id'])
    .where(sql.ref('cron_schedule'), 'is not', null)
    .execute()
  await db.schema
    .createIndex('dags_scheduled_by_creation')
    .on('dags')
    .columns(['created_at', 'id'])
    .where(sql.ref('cron_schedule'), 'is not', null)
    .execute()
  await db.schema.createIndex('dags_by_agent').on('dags').columns(['agent_name', 'created_at', 'id']).execute()

  await db.schema.alterTable('executions').addColumn('created_by', 'text').execute()

  await db.schema
    .createTable('experiments')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('status', 'text', (c) => c.notNull()) // running | completed
    .addColumn('goal_text', 'text', (c) => c.notNull())
    .addColumn('agent_name', 'text')
    .addColumn('provider', 'text')
    .addColumn('seed', 'integer')
    .addColumn('lease_owner', 'text') // the process that plans its trials
    .addColumn('lease_until', 'text')
    .addColumn('created_by', 'text')
    .addColumn('completed_at', 'text')
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('experiments_by_creation').on('experiments').columns(['created_at', 'id']).execute()
  await db.schema
    .createIndex('experiments_by_status')
    .on('experiments')
    .columns(['status', 'created_at', 'id'])
    .execute()

  await db.schema
    .createTable('experiment_trials')
    .addColumn('experiment_id', 'text', (c) => c.notNull().references('experiments.id').onDelete('cascade'))
    .addColumn('position', 'integer', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('temperature', 'real', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull()) // pending | running, then as the DAG's planning ended
    .addColumn('dag_id', 'text') // no reference: the DAG may be deleted, what it was stays
    .addColumn('error', 'text') // JSON { code, message }
    .addColumn('task_count', 'integer')
    .addColumn('prompt_tokens', 'bigint', (c) => c.notNull().defaultTo(0))
    .addColumn('completion_tokens', 'bigint', (c) => c.notNull().defaultTo(0))
    .addColumn('cached_tokens', 'bigint', (c) => c.notNull().defaultTo(0))
    .addColumn('cost_usd_micros', 'bigint') // null: not known
    .addColumn('duration_ms', 'bigint')
    .addPrimaryKeyConstraint('experiment_trials_key', ['experiment_id', 'position'])
    .execute()
}
