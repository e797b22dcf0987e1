import { bcryptHasher, type SecretHasher } from '#kit/crypto/secret-hash.ts'

export interface CountingHasher extends SecretHasher {
  /** How many secrets were compared with a hash so far, by the beginning of the secret. */
  compared: string[]
}

/** Real bcrypt that keeps a list of what it compared, for `overrides.hasher`. */
export function countingHasher(): CountingHasher {
  const real = bcryptHasher(4)
  const compared: string[] = []
  return {
    compared,
    hash: real.hash,
    matches(secret, hash) {
      compared.push(secret)
      return real.matches(secret, hash)
    },
  }
}
