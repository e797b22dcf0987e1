import { generateApiKey } from '#kit/crypto/api-key.ts'
import type { SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { ControlDb, ControlTables } from '#kit/db/control-tables.ts'
import { prepared } from '#kit/db/prepared.ts'
import { newId } from '#kit/ids.ts'

export interface AdminKeyRow {
  id: string
  hash: string
  revoked_at: string | null
}

const byKeyId = prepared<ControlTables, { keyId: string }, AdminKeyRow>((db, { keyId }) =>
  db.selectFrom('admin_keys').select(['id', 'hash', 'revoked_at']).where('key_id', '=', keyId),
)

export async function findAdminKey(db: ControlDb, keyId: string): Promise<AdminKeyRow | null> {
  const [row] = await byKeyId(db, { keyId })
  return row ?? null
}

/**
 * Creates the super-admin key if there is none yet.
 *
 * @param isRotation  revokes the ones there are and makes a new one
 * @returns the key, shown this once; null when there already is one
 */
export async function createSuperAdminKey(
  db: ControlDb,
  hasher: SecretHasher,
  isRotation: boolean,
  now: Date,
): Promise<string | null> {
  const existing = await db.selectFrom('admin_keys').select('id').where('revoked_at', 'is', null).executeTakeFirst()
  if (existing && !isRotation) return null

  const { key, keyId, keyPrefix } = generateApiKey('admin')
  const at = now.toISOString()
  await db
    .insertInto('admin_keys')
    .values({
      id: newId(),
      key_id: keyId,
      name: 'super admin',
      key_prefix: keyPrefix,
      hash: await hasher.hash(key),
      created_at: at,
      revoked_at: null,
    })
    .execute()
  await db
    .updateTable('admin_keys')
    .set({ revoked_at: at })
    .where('revoked_at', 'is', null)
    .where('key_id', '!=', keyId)
    .execute()
  return key
}
