import type { Kysely } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('tenants')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('slug', 'text', (c) => c.notNull().unique())
    .addColumn('status', 'text', (c) => c.notNull()) // pending | active | suspended
    .addColumn('plan', 'text', (c) => c.notNull())
    .addColumn('quotas', 'text', (c) => c.notNull()) // JSON: only what differs from the plan
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema.createIndex('tenants_by_creation').on('tenants').columns(['created_at', 'id']).execute()

  // Where a key belongs, and nothing else about it.
  await db.schema
    .createTable('key_index')
    .addColumn('key_id', 'text', (c) => c.primaryKey())
    .addColumn('tenant_id', 'text', (c) => c.notNull())
    .execute()

  await db.schema
    .createTable('admin_keys')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('key_id', 'text', (c) => c.notNull().unique())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('key_prefix', 'text', (c) => c.notNull())
    .addColumn('hash', 'text', (c) => c.notNull()) // bcrypt
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('revoked_at', 'text')
    .execute()

  // Which tenants have something to do and when, so that a restart opens only those.
  await db.schema
    .createTable('due_work')
    .addColumn('tenant_id', 'text', (c) => c.notNull())
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('subject_id', 'text', (c) => c.notNull())
    .addColumn('due_at', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('due_work_key', ['tenant_id', 'kind', 'subject_id'])
    .execute()
  await db.schema.createIndex('due_work_by_time').on('due_work').columns(['due_at', 'tenant_id']).execute()
}
