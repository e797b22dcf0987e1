import type { Kysely } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('dags')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('title', 'text', (c) => c.notNull())
    .addColumn('status', 'text', (c) => c.notNull()) // planning | success | clarification_required | validation_error | failed
    .addColumn('goal_text', 'text', (c) => c.notNull())
    .addColumn('agent_name', 'text') // null: given as a definition
    .addColumn('agent_version', 'text')
    .addColumn('params', 'text', (c) => c.notNull()) // JSON
    .addColumn('plan', 'text') // JSON, a DecomposerJob
    .addColumn('clarification_query', 'text')
    .addColumn('clarifications', 'text', (c) => c.notNull()) // JSON: questions asked and answers given so far
    .addColumn('planning_attempts', 'text', (c) => c.notNull()) // JSON; their money is in model_calls
    .addColumn('error', 'text') // JSON: why planning ended without a plan
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('dags_by_creation').on('dags').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('dags_by_status').on('dags').columns(['status', 'created_at', 'id']).execute()

  // Texts the user gave along with the goal; each execution of the DAG sees them as its artifacts.
  await db.schema
    .createTable('dag_inputs')
    .addColumn('dag_id', 'text', (c) => c.notNull().references('dags.id').onDelete('cascade'))
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('content_type', 'text', (c) => c.notNull())
    .addColumn('size_bytes', 'bigint', (c) => c.notNull())
    .addColumn('blob_key', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('dag_inputs_key', ['dag_id', 'name'])
    .execute()
}
