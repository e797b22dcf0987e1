import bcrypt from 'bcryptjs'

/** Slow hashes of secrets. An argument wherever it is used, so that a test can count what it costs. */
export interface SecretHasher {
  hash(secret: string): Promise<string>
  matches(secret: string, hash: string): Promise<boolean>
}

/**
 * bcrypt cuts its input at 72 bytes; an API key has 63 or 64, and nothing that is not of a key's form gets here.
 *
 * @param cost  bcrypt's work factor: 6 takes about 4 ms, 10 about 58 ms
 */
export function bcryptHasher(cost: number): SecretHasher {
  return {
    hash: (secret) => bcrypt.hash(secret, cost),
    matches: (secret, hash) => bcrypt.compare(secret, hash),
  }
}
