import type { Kysely } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('model_calls').addColumn('agent_name', 'text').execute()
  await db.schema.alterTable('model_calls').addColumn('user_id', 'text').execute()
  await db.schema.createIndex('model_calls_by_creation').on('model_calls').columns(['created_at', 'id']).execute()

  // What is charged for, written with the state that caused it. Never changed, never deleted.
  await db.schema
    .createTable('usage_records')
    .addColumn('id', 'text', (c) => c.notNull())
    .addColumn('resource_type', 'text', (c) => c.notNull())
    .addColumn('quantity', 'bigint', (c) => c.notNull()) // in the resource's unit
    .addColumn('unit_cost', 'bigint') // pico-USD per unit; null: no price
    .addColumn('price_version', 'text', (c) => c.notNull())
    .addColumn('cost_usd_micros', 'bigint') // quantity x unit_cost, rounded once; null: no price
    .addColumn('provider', 'text')
    .addColumn('model', 'text')
    .addColumn('agent_name', 'text')
    .addColumn('user_id', 'text')
    .addColumn('dag_id', 'text')
    .addColumn('execution_id', 'text')
    .addColumn('sub_step_id', 'text')
    .addColumn('created_at', 'text', (c) => c.notNull())
    // Records are listed by time and never looked up by id: an index on random ids alone would cost a page a record.
    .addPrimaryKeyConstraint('usage_records_key', ['created_at', 'id'])
    .execute()
  await db.schema
    .createIndex('usage_records_by_resource')
    .on('usage_records')
    .columns(['resource_type', 'created_at', 'id'])
    .execute()
  await db.schema
    .createIndex('usage_records_by_execution')
    .on('usage_records')
    .columns(['execution_id', 'created_at', 'id'])
    .execute()
  await db.schema
    .createIndex('usage_records_by_dag')
    .on('usage_records')
    .columns(['dag_id', 'created_at', 'id'])
    .execute()
  await db.schema
    .createIndex('usage_records_by_model')
    .on('usage_records')
    .columns(['model', 'created_at', 'id'])
    .execute()

  // The records of a calendar month (UTC), added up as they are written: quotas and invoices need no sum over a month.
  await db.schema
    .createTable('usage_totals')
    .addColumn('period', 'text', (c) => c.notNull()) // YYYY-MM
    .addColumn('resource_type', 'text', (c) => c.notNull())
    .addColumn('provider', 'text', (c) => c.notNull()) // empty: none
    .addColumn('model', 'text', (c) => c.notNull()) // empty: none
    .addColumn('unit_cost', 'bigint', (c) => c.notNull()) // pico-USD per unit; -1: no price
    .addColumn('quantity', 'bigint', (c) => c.notNull())
    .addPrimaryKeyConstraint('usage_totals_key', ['period', 'resource_type', 'provider', 'model', 'unit_cost'])
    .execute()

  // What calls of models in flight may use at most; a row goes when its call is recorded, or when its time is over.
  await db.schema
    .createTable('token_reservations')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('tokens', 'bigint', (c) => c.notNull())
    .addColumn('expires_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('token_reservations_by_expiry')
    .on('token_reservations')
    .columns(['expires_at', 'tokens'])
    .execute()

  await db.schema
    .createTable('invoices')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('period', 'text', (c) => c.notNull().unique()) // YYYY-MM: one invoice a month, whoever makes it
    .addColumn('status', 'text', (c) => c.notNull()) // draft | open | paid | void
    .addColumn('line_items', 'text', (c) => c.notNull()) // JSON
    .addColumn('total_usd_cents', 'bigint', (c) => c.notNull())
    .addColumn('issued_at', 'text')
    .addColumn('paid_at', 'text')
    .addColumn('voided_at', 'text')
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('invoices_by_creation').on('invoices').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('invoices_by_status').on('invoices').columns(['status', 'created_at', 'id']).execute()
}
