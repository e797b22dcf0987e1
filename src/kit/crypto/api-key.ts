import { randomBase62, toBase62 } from './base62.ts'
import { crc32 } from './crc32.ts'

const KEY_ID_LENGTH = 12
const SECRET_LENGTH = 32
const CHECKSUM_LENGTH = 6
const FORM = /^(desi_sk_(live|test|admin)_([0-9A-Za-z]{12}))[0-9A-Za-z]{38}$/

export type KeyEnvironment = 'live' | 'test' | 'admin'

export interface NewApiKey {
  /** The whole credential; shown once, never stored. */
  key: string
  /** The public part that leads to the tenant. */
  keyId: string
  /** What lists show: `desi_sk_live_` and the key id. */
  keyPrefix: string
}

export interface ParsedApiKey {
  environment: KeyEnvironment
  keyId: string
}

/**
 * A new API key: prefix, 12 public base62 characters, 32 secret ones (190 bits), and the CRC-32 of all that in 6.
 * 63 characters (64 for an admin key), under bcrypt's limit of 72 bytes.
 */
export function generateApiKey(environment: KeyEnvironment): NewApiKey {
  const keyId = randomBase62(KEY_ID_LENGTH)
  const keyPrefix = `desi_sk_${environment}_${keyId}`
  const body = keyPrefix + randomBase62(SECRET_LENGTH)
  return { key: body + checksum(body), keyId, keyPrefix }
}

/** What a presented credential says about itself, or null when it is no API key or has a typing error. Reads nothing. */
export function parseApiKey(credential: string): ParsedApiKey | null {
  const match = FORM.exec(credential)
  if (!match) return null
  const body = credential.slice(0, -CHECKSUM_LENGTH)
  if (checksum(body) !== credential.slice(-CHECKSUM_LENGTH)) return null
  return { environment: match[2] as KeyEnvironment, keyId: match[3] as string }
}

/** Whether a credential claims to be a super admin's key; only `parseApiKey` tells whether it is a key at all. */
export function claimsToBeAdminKey(credential: string): boolean {
  return credential.startsWith('desi_sk_admin_')
}

function checksum(body: string): string {
  return toBase62(crc32(body), CHECKSUM_LENGTH)
}
