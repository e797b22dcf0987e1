import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('agents')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('name', 'text', (c) => c.notNull())
    .addColumn('version', 'text', (c) => c.notNull())
    .addColumn('description', 'text')
    .addColumn('system_prompt', 'text', (c) => c.notNull())
    .addColumn('provider', 'text')
    .addColumn('model', 'text')
    .addColumn('is_active', 'integer', (c) => c.notNull())
    .addColumn('allowed_tools', 'text') // JSON array; null allows every tool
    .addColumn('constraints', 'text') // JSON
    .addColumn('metadata', 'text', (c) => c.notNull()) // JSON
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('updated_at', 'text', (c) => c.notNull())
    .addUniqueConstraint('agents_name_version', ['name', 'version'])
    .execute()
  await db.schema
    .createIndex('agents_one_active')
    .unique()
    .on('agents')
    .column('name')
    .where(sql.ref('is_active'), '=', sql.lit(1))
    .execute()
  await db.schema.createIndex('agents_by_activity').on('agents').columns(['is_active', 'created_at', 'id']).execute()
  await db.schema.createIndex('agents_by_creation').on('agents').columns(['created_at', 'id']).execute()
}
