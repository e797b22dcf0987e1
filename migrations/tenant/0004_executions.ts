import type { CreateTableBuilder, Kysely } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await usage(
    db.schema
      .createTable('executions')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('dag_id', 'text', (c) => c.references('dags.id'))
      .addColumn('dag_title', 'text', (c) => c.notNull())
      .addColumn('original_request', 'text', (c) => c.notNull())
      .addColumn('primary_intent', 'text', (c) => c.notNull())
      .addColumn('synthesis_plan', 'text', (c) => c.notNull())
      .addColumn('params', 'text', (c) => c.notNull()) // JSON: provider, model, temperature, …
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('total_tasks', 'integer', (c) => c.notNull())
      .addColumn('completed_tasks', 'integer', (c) => c.notNull())
      .addColumn('failed_tasks', 'integer', (c) => c.notNull())
      .addColumn('waiting_tasks', 'integer', (c) => c.notNull())
      .addColumn('skipped_tasks', 'integer', (c) => c.notNull())
      .addColumn('final_result', 'text')
      .addColumn('synthesis_result', 'text')
      .addColumn('suspended_reason', 'text')
      .addColumn('suspended_at', 'text')
      .addColumn('retry_count', 'integer', (c) => c.notNull()) // deliberate resumes only
      .addColumn('last_retry_at', 'text')
      .addColumn('last_event_seq', 'integer', (c) => c.notNull())
      .addColumn('lease_owner', 'text')
      .addColumn('lease_until', 'text')
      .addColumn('crash_count', 'integer', (c) => c.notNull())
      .addColumn('started_at', 'text')
      .addColumn('completed_at', 'text')
      .addColumn('duration_ms', 'bigint')
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'text', (c) => c.notNull()),
  ).execute()
  await db.schema.createIndex('executions_by_creation').on('executions').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('executions_by_dag').on('executions').columns(['dag_id', 'created_at', 'id']).execute()
  await db.schema.createIndex('executions_by_status').on('executions').columns(['status', 'created_at', 'id']).execute()

  await usage(
    db.schema
      .createTable('sub_steps')
      .addColumn('id', 'text', (c) => c.primaryKey())
      .addColumn('execution_id', 'text', (c) => c.notNull().references('executions.id').onDelete('cascade'))
      .addColumn('task_id', 'text', (c) => c.notNull())
      .addColumn('position', 'integer', (c) => c.notNull())
      .addColumn('wave', 'integer', (c) => c.notNull()) // depth in the graph, from 1
      .addColumn('description', 'text', (c) => c.notNull())
      .addColumn('thought', 'text', (c) => c.notNull())
      .addColumn('action_type', 'text', (c) => c.notNull())
      .addColumn('tool_or_prompt_name', 'text', (c) => c.notNull())
      .addColumn('tool_or_prompt_params', 'text', (c) => c.notNull()) // JSON
      .addColumn('dependencies', 'text', (c) => c.notNull()) // JSON array of task ids
      .addColumn('status', 'text', (c) => c.notNull())
      .addColumn('result', 'text') // JSON
      .addColumn('error', 'text') // JSON { message, code }
      .addColumn('provider', 'text')
      .addColumn('model', 'text')
      .addColumn('attempt', 'integer', (c) => c.notNull()) // calls made so far, all incarnations
      .addColumn('retry', 'integer', (c) => c.notNull()) // deliberate retries; part of the idempotency key
      .addColumn('started_at', 'text')
      .addColumn('completed_at', 'text')
      .addColumn('duration_ms', 'bigint')
      .addColumn('created_at', 'text', (c) => c.notNull())
      .addColumn('updated_at', 'text', (c) => c.notNull())
      .addUniqueConstraint('sub_steps_task', ['execution_id', 'task_id']),
  ).execute()
  await db.schema.createIndex('sub_steps_by_execution').on('sub_steps').columns(['execution_id', 'position']).execute()

  await db.schema
    .createTable('execution_events')
    .addColumn('execution_id', 'text', (c) => c.notNull().references('executions.id').onDelete('cascade'))
    .addColumn('seq', 'integer', (c) => c.notNull()) // dense, from 1
    .addColumn('type', 'text', (c) => c.notNull())
    .addColumn('data', 'text') // JSON
    .addColumn('error', 'text') // JSON { message, code }
    .addColumn('ts', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('execution_events_key', ['execution_id', 'seq'])
    .execute()

  await db.schema
    .createTable('artifacts')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('execution_id', 'text', (c) => c.notNull().references('executions.id').onDelete('cascade'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('origin', 'text', (c) => c.notNull()) // input | output
    .addColumn('content_type', 'text', (c) => c.notNull())
    .addColumn('size_bytes', 'bigint', (c) => c.notNull())
    .addColumn('blob_key', 'text', (c) => c.notNull())
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .addUniqueConstraint('artifacts_name', ['execution_id', 'name'])
    .execute()

  // The ledger: one row for each call of a model, written with the state it paid for. It outlives its execution.
  await db.schema
    .createTable('model_calls')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('purpose', 'text', (c) => c.notNull()) // planning | title | sub_step | synthesis
    .addColumn('dag_id', 'text')
    .addColumn('execution_id', 'text')
    .addColumn('sub_step_id', 'text')
    .addColumn('attempt', 'integer', (c) => c.notNull())
    .addColumn('provider', 'text', (c) => c.notNull())
    .addColumn('model', 'text', (c) => c.notNull())
    .addColumn('prompt_tokens', 'bigint', (c) => c.notNull())
    .addColumn('completion_tokens', 'bigint', (c) => c.notNull())
    .addColumn('cached_tokens', 'bigint', (c) => c.notNull())
    .addColumn('cost_usd_micros', 'bigint') // null: not known
    .addColumn('price_version', 'text', (c) => c.notNull())
    .addColumn('error_code', 'text')
    .addColumn('duration_ms', 'bigint', (c) => c.notNull())
    .addColumn('created_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('model_calls_by_execution').on('model_calls').column('execution_id').execute()
  await db.schema.createIndex('model_calls_by_dag').on('model_calls').column('dag_id').execute()
}

/** What a row has used so far; `unpriced_calls` counts the calls whose cost is not known. */
function usage<T extends string, C extends string>(table: CreateTableBuilder<T, C>) {
  return table
    .addColumn('prompt_tokens', 'bigint', (c) => c.notNull())
    .addColumn('completion_tokens', 'bigint', (c) => c.notNull())
    .addColumn('cached_tokens', 'bigint', (c) => c.notNull())
    .addColumn('cost_usd_micros', 'bigint', (c) => c.notNull())
    .addColumn('unpriced_calls', 'integer', (c) => c.notNull())
}
