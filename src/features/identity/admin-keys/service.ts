import type { ControlContext } from '#kit/context.ts'
import { generateApiKey } from '#kit/crypto/api-key.ts'
import type { SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { newId } from '#kit/ids.ts'
import type { Me } from '../api-keys/contract.ts'
import * as rows from './repository.ts'

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
  if (!isRotation && (await rows.hasAdminKey(db))) return null
  const { key, keyId, keyPrefix } = generateApiKey('admin')
  const hash = await hasher.hash(key)
  const row = { id: newId(), keyId, name: 'super admin', keyPrefix, hash, createdAt: now.toISOString() }
  return transaction(db, async (tx) => {
    if (!isRotation && (await rows.hasAdminKey(tx))) return null // another bootstrap was faster
    await rows.replaceAdminKeys(tx, row)
    return key
  })
}

export async function getMe(ctx: ControlContext): Promise<Me> {
  const { id, name, key_prefix: keyPrefix } = await rows.getAdminKey(ctx.db, ctx.actor.keyId)
  const scopes = ['super_admin' as const]
  const apiKey = { id, name, keyPrefix, scopes, expiresAt: null }
  return { id: null, email: null, name: null, role: 'admin', scopes, tenant: null, apiKey }
}
