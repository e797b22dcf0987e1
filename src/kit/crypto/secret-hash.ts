import bcrypt from 'bcryptjs'

/** Slow hashes of secrets. An argument wherever it is used, so that a test can count what it costs. */
export interface SecretHasher {
  hash(secret: string): Promise<string>
  matches(secret: string, hash: string): Promise<boolean>
}

/** bcrypt cuts its input at 72 bytes, so longer secrets are never handed to it. */
export const MAX_SECRET_BYTES = 72

/** @param cost  bcrypt's work factor: 6 takes about 4 ms, 10 about 58 ms */
export function bcryptHasher(cost: number): SecretHasher {
  return {
    hash: (secret) => bcrypt.hash(secret, cost),
    matches: (secret, hash) => bcrypt.compare(secret, hash),
  }
}
