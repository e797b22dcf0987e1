import { type Kysely, sql } from 'kysely'

interface Tables {
  tenants: { id: string }
  due_work: { tenant_id: string; kind: string; subject_id: string; due_at: string }
}

export async function up(untyped: Kysely<unknown>): Promise<void> {
  const db = untyped as Kysely<Tables>
  // Keys we sign with ourselves, for as long as a signature lives; shared by all processes.
  await db.schema
    .createTable('signing_keys')
    .addColumn('purpose', 'text', (c) => c.primaryKey())
    .addColumn('secret', 'text', (c) => c.notNull()) // base64url
    .addColumn('created_at', 'text', (c) => c.notNull())
    .execute()

  // Schedules kept before they could fire are in no index yet: each tenant is looked at once.
  const now = new Date().toISOString()
  await db
    .insertInto('due_work')
    .columns(['tenant_id', 'kind', 'subject_id', 'due_at'])
    .expression((eb) =>
      eb
        .selectFrom('tenants')
        .select(['id', sql.lit('schedule_index').as('kind'), 'id as subject_id', eb.val(now).as('due_at')]),
    )
    .execute()
}
