import type { ControlDb, ControlTables } from '#kit/db/control-tables.ts'
import { prepared } from '#kit/db/prepared.ts'

export interface AdminKeyRow {
  id: string
  name: string
  key_prefix: string
  hash: string
  revoked_at: string | null
}

const SHOWN = ['id', 'name', 'key_prefix', 'hash', 'revoked_at'] as const

const byKeyId = prepared<ControlTables, { keyId: string }, AdminKeyRow>((db, { keyId }) =>
  db.selectFrom('admin_keys').select(SHOWN).where('key_id', '=', keyId),
)

export async function findAdminKey(db: ControlDb, keyId: string): Promise<AdminKeyRow | null> {
  const [row] = await byKeyId(db, { keyId })
  return row ?? null
}

export async function getAdminKey(db: ControlDb, id: string): Promise<AdminKeyRow> {
  return db.selectFrom('admin_keys').select(SHOWN).where('id', '=', id).executeTakeFirstOrThrow()
}

export async function hasAdminKey(db: ControlDb): Promise<boolean> {
  const row = await db.selectFrom('admin_keys').select('id').where('revoked_at', 'is', null).executeTakeFirst()
  return row !== undefined
}

/** Puts this key in the place of all that were good until now. Two statements: run it in a transaction. */
export async function replaceAdminKeys(
  tx: ControlDb,
  key: { id: string; keyId: string; name: string; keyPrefix: string; hash: string; createdAt: string },
): Promise<void> {
  await tx.updateTable('admin_keys').set({ revoked_at: key.createdAt }).where('revoked_at', 'is', null).execute()
  await tx
    .insertInto('admin_keys')
    .values({
      id: key.id,
      key_id: key.keyId,
      name: key.name,
      key_prefix: key.keyPrefix,
      hash: key.hash,
      created_at: key.createdAt,
      revoked_at: null,
    })
    .execute()
}
