import { createHmac, createSecretKey, randomBytes } from 'node:crypto'
import type { Digest } from '#ports/hmac.ts'

/** HMAC-SHA-256 under a key that lives as long as the process. A KeyObject: a Buffer as key costs twice the time. */
export function hmacDigest(): Digest {
  const key = createSecretKey(randomBytes(32))
  return (text) => createHmac('sha256', key).update(text).digest('base64url')
}
