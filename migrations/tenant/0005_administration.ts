import { type Kysely, sql } from 'kysely'

interface Users {
  users: { id: string; email: string }
}

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema.alterTable('tenant').addColumn('max_api_key_age_days', 'integer').execute() // null: keys may last for ever

  await db.schema.createIndex('users_by_creation').on('users').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('users_by_role').on('users').columns(['role', 'created_at', 'id']).execute()
  await db.schema.createIndex('users_by_status').on('users').columns(['status', 'created_at', 'id']).execute()

  await lowerAddresses(db as Kysely<Users>)

  await db.schema.alterTable('api_keys').addColumn('allowed_addresses', 'text').execute() // JSON array of addresses and CIDR ranges; null: all
  await db.schema.alterTable('api_keys').addColumn('replaced_by', 'text').execute() // the key that a rotation put in its place

  // A user who was invited and has not come yet, or came a moment ago. The token is known to nobody but who got it.
  await db.schema
    .createTable('invitations')
    .addColumn('id', 'text', (c) => c.primaryKey())
    .addColumn('user_id', 'text', (c) => c.notNull().unique().references('users.id').onDelete('cascade'))
    .addColumn('token_id', 'text', (c) => c.notNull().unique())
    .addColumn('token_hash', 'text', (c) => c.notNull()) // SHA-256; the token has 190 random bits
    .addColumn('invited_by', 'text') // user; null: a service key
    .addColumn('expires_at', 'text', (c) => c.notNull())
    .addColumn('created_at', 'text', (c) => c.notNull())
    .addColumn('accepted_at', 'text') // null: not yet, and so are the next two
    .addColumn('api_key_id', 'text') // the first key
    .addColumn('sealed_key', 'text') // its secret, sealed under the token
    .execute()
  await db.schema.createIndex('invitations_by_inviter').on('invitations').column('invited_by').execute()
  await db.schema
    .createIndex('invitations_accepted')
    .on('invitations')
    .column('accepted_at')
    .where(sql.ref('accepted_at'), 'is not', null)
    .execute()

  // A secret in an answer, sealed under the caller's credential, so that a repeat of the call can show it again.
  await db.schema.alterTable('idempotency_keys').addColumn('sealed_secret', 'text').execute()
  await db.schema.alterTable('idempotency_keys').addColumn('sealed_until', 'text').execute()
  await db.schema
    .createIndex('idempotency_keys_sealed')
    .on('idempotency_keys')
    .column('sealed_until')
    .where(sql.ref('sealed_until'), 'is not', null)
    .execute()
}

/** They are compared in lower case from now on; two that differ only in that stay two. */
async function lowerAddresses(db: Kysely<Users>): Promise<void> {
  const users = await db.selectFrom('users').select(['id', 'email']).orderBy('id').execute()
  const taken = new Set(users.map(({ email }) => email))
  for (const { id, email } of users) {
    const lower = email.toLowerCase()
    if (taken.has(lower)) continue
    taken.add(lower)
    await db.updateTable('users').set({ email: lower }).where('id', '=', id).execute()
  }
}
