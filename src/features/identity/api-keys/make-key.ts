import { generateApiKey } from '#kit/crypto/api-key.ts'
import type { Directory } from '#ports/directory.ts'
import type { KeyMaking } from './service.ts'

/** A key that is made and indexed; the tenant stores only its hash. */
export interface HashedKey {
  keyId: string
  keyPrefix: string
  hash: string
}

/** The index row first: a key that leads nowhere is harmless, a key nobody can find is lost. */
export async function makeKey(
  directory: Directory,
  { hasher, environment }: KeyMaking,
): Promise<{ key: string; hashed: HashedKey }> {
  const { key, keyId, keyPrefix } = generateApiKey(environment)
  const hash = await hasher.hash(key)
  await directory.registerKey(keyId)
  return { key, hashed: { keyId, keyPrefix, hash } }
}
