import { fromBase64Url, toBase64Url } from './base64url.ts'

const ALGORITHM = { name: 'HMAC', hash: 'SHA-256' }
const SECRET_BYTES = 32
const SIGNED = /^([\w-]{1,1000})\.([\w-]{43})$/

export type SigningKey = Awaited<ReturnType<typeof crypto.subtle.importKey>>

/** A new secret to sign with, base64url: 256 bits. */
export function newSigningSecret(): string {
  return toBase64Url(crypto.getRandomValues(new Uint8Array(SECRET_BYTES)))
}

/** @throws when it is not of `newSigningSecret` */
export async function importSigningKey(secret: string): Promise<SigningKey> {
  const bytes = fromBase64Url(secret)
  if (bytes?.length !== SECRET_BYTES) throw new Error('this is no signing secret of ours')
  return crypto.subtle.importKey('raw', bytes, ALGORITHM, false, ['sign', 'verify'])
}

/** Text that only who has the key can have written, fit for a URL: `<text>.<HMAC-SHA-256>` (RFC 2104), both base64url. */
export async function signText(text: string, key: SigningKey): Promise<string> {
  const written = toBase64Url(new TextEncoder().encode(text))
  const signature = await crypto.subtle.sign(ALGORITHM, key, new TextEncoder().encode(written))
  return `${written}.${toBase64Url(new Uint8Array(signature))}`
}

/** Whether it has the form of `signText`. Needs no key. */
export function looksSigned(signed: string): boolean {
  return SIGNED.test(signed)
}

/** The text, or null when somebody else wrote or changed it. Web Crypto compares in constant time. */
export async function openSignedText(signed: string, key: SigningKey): Promise<string | null> {
  const [, written = '', signature = ''] = SIGNED.exec(signed) ?? []
  const [text, mac] = [fromBase64Url(written), fromBase64Url(signature)]
  if (!text || !mac) return null
  const isOurs = await crypto.subtle.verify(ALGORITHM, key, mac, new TextEncoder().encode(written))
  return isOurs ? new TextDecoder().decode(text) : null
}
