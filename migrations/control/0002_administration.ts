import { type Kysely, sql } from 'kysely'

interface Tenants {
  tenants: { id: string; name: string; slug: string; status: string; created_at: string }
  search_words: { kind: string; word: string; subject_id: string }
  due_work: { tenant_id: string; kind: string; subject_id: string; due_at: string }
}

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.createIndex('tenants_by_status').on('tenants').columns(['status', 'created_at', 'id']).execute()
  await db.schema.createIndex('tenants_by_plan').on('tenants').columns(['plan', 'created_at', 'id']).execute()
  await db.schema.createIndex('key_index_by_tenant').on('key_index').column('tenant_id').execute()
  await db.schema.createIndex('due_work_by_kind').on('due_work').columns(['kind', 'due_at', 'tenant_id']).execute()

  // As in a tenant's database, for the super admin's calls.
  await db.schema
    .createTable('idempotency_keys')
    .addColumn('key', 'text', (c) => c.primaryKey())
    .addColumn('operation', 'text', (c) => c.notNull())
    .addColumn('request_hash', 'text', (c) => c.notNull())
    .addColumn('claim_id', 'text', (c) => c.notNull())
    .addColumn('lease_until', 'text', (c) => c.notNull())
    .addColumn('resource_id', 'text')
    .addColumn('sealed_secret', 'text')
    .addColumn('sealed_until', 'text')
    .addColumn('created_at', 'text', (c) => c.notNull())
    .execute()
  await db.schema
    .createIndex('idempotency_keys_sealed')
    .on('idempotency_keys')
    .column('sealed_until')
    .where(sql.ref('sealed_until'), 'is not', null)
    .execute()
  await db.schema.createIndex('idempotency_keys_by_age').on('idempotency_keys').column('created_at').execute()
  await db.schema.createIndex('idempotency_keys_by_resource').on('idempotency_keys').column('resource_id').execute()

  await db.schema
    .createTable('search_words')
    .addColumn('kind', 'text', (c) => c.notNull())
    .addColumn('word', 'text', (c) => c.notNull())
    .addColumn('subject_id', 'text', (c) => c.notNull())
    .addPrimaryKeyConstraint('search_words_key', ['kind', 'word', 'subject_id'])
    .execute()
  await db.schema
    .createIndex('search_words_by_subject')
    .on('search_words')
    .columns(['subject_id', 'kind', 'word'])
    .execute()

  await catchUp(db as Kysely<Tenants>)
}

/** Tenants made before can be found by their words, and get their invoices. */
async function catchUp(db: Kysely<Tenants>): Promise<void> {
  const now = new Date()
  const due = { period: now.toISOString().slice(0, 7), at: tenMinutesInto(now.getUTCFullYear(), now.getUTCMonth() + 1) }
  for (let page = await tenantsAfter(db, ''); page.length > 0; page = await tenantsAfter(db, page.at(-1)?.id ?? '')) {
    const words = page.flatMap(({ id, name, slug }) =>
      wordsOf(`${name} ${slug}`).map((word) => ({ kind: 'tenant', word, subject_id: id })),
    )
    for (const rows of slicesOf(words)) await db.insertInto('search_words').values(rows).execute()
    const invoices = page.map(({ id }) => ({ tenant_id: id, kind: 'invoice', subject_id: due.period, due_at: due.at }))
    for (const rows of slicesOf(invoices)) await db.insertInto('due_work').values(rows).execute()
  }
}

async function tenantsAfter(
  db: Kysely<Tenants>,
  id: string,
): Promise<Pick<Tenants['tenants'], 'id' | 'name' | 'slug'>[]> {
  const tenants = db.selectFrom('tenants').select(['id', 'name', 'slug']).where('id', '>', id)
  return tenants.orderBy('id').limit(200).execute()
}

/** As many rows of four columns as a statement takes: at most 100 parameters. */
function slicesOf<Row>(rows: Row[]): Row[][] {
  return Array.from({ length: Math.ceil(rows.length / 25) }, (_, i) => rows.slice(i * 25, (i + 1) * 25))
}

function tenMinutesInto(year: number, month: number): string {
  return new Date(Date.UTC(year, month, 1, 0, 10)).toISOString()
}

/** As they were told apart when this migration was written. */
function wordsOf(text: string): string[] {
  const words =
    text
      .slice(0, 2_000)
      .normalize('NFKC')
      .toLowerCase()
      .match(/[\p{L}\p{N}\p{M}]+/gu) ?? []
  return [...new Set(words.map((word) => word.slice(0, 40)))].slice(0, 60)
}
