import { randomBase62, toBase62 } from './base62.ts'
import { crc32 } from './crc32.ts'

const KEY_ID_LENGTH = 12
const SECRET_LENGTH = 32
const CHECKSUM_LENGTH = 6
const KEY = /^(desi_sk_(live|test|admin)_([0-9A-Za-z]{12}))[0-9A-Za-z]{38}$/
const INVITATION = /^desi_inv_([0-9A-Za-z]{12})[0-9A-Za-z]{38}$/

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
  return generate(`desi_sk_${environment}_`)
}

/** What a presented credential says about itself, or null when it is no API key or has a typing error. Reads nothing. */
export function parseApiKey(credential: string): ParsedApiKey | null {
  const match = KEY.exec(credential)
  if (!match || !hasGoodChecksum(credential)) return null
  return { environment: match[2] as KeyEnvironment, keyId: match[3] as string }
}

/** Whether a credential claims to be a super admin's key; only `parseApiKey` tells whether it is a key at all. */
export function claimsToBeAdminKey(credential: string): boolean {
  return credential.startsWith('desi_sk_admin_')
}

/** A token that lets its bearer into a tenant once; of the same form as a key. */
export function generateInvitationToken(): { token: string; tokenId: string } {
  const { key, keyId } = generate('desi_inv_')
  return { token: key, tokenId: keyId }
}

/** The public part of an invitation token, or null when it is none. Reads nothing. */
export function parseInvitationToken(token: string): { tokenId: string } | null {
  const match = INVITATION.exec(token)
  return match && hasGoodChecksum(token) ? { tokenId: match[1] as string } : null
}

function generate(prefix: string): NewApiKey {
  const keyId = randomBase62(KEY_ID_LENGTH)
  const keyPrefix = prefix + keyId
  const body = keyPrefix + randomBase62(SECRET_LENGTH)
  return { key: body + checksum(body), keyId, keyPrefix }
}

function hasGoodChecksum(credential: string): boolean {
  return checksum(credential.slice(0, -CHECKSUM_LENGTH)) === credential.slice(-CHECKSUM_LENGTH)
}

function checksum(body: string): string {
  return toBase62(crc32(body), CHECKSUM_LENGTH)
}
