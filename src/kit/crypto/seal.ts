/**
 * Seals a secret so that only who sends the same credential with the same idempotency key can open it: AES-256-GCM
 * (NIST SP 800-38D) under a key derived by HKDF-SHA-256 (RFC 5869).
 *
 * @returns base64 of a 12-byte nonce and the ciphertext
 */
export async function seal(secret: string, credential: string, idempotencyKey: string): Promise<string> {
  const nonce = crypto.getRandomValues(new Uint8Array(12))
  const key = await sealingKey(credential, idempotencyKey)
  const sealed = await crypto.subtle.encrypt({ name: 'AES-GCM', iv: nonce }, key, new TextEncoder().encode(secret))
  return btoa(String.fromCharCode(...nonce, ...new Uint8Array(sealed)))
}

/** @returns null when it was sealed under something else */
export async function unseal(sealed: string, credential: string, idempotencyKey: string): Promise<string | null> {
  const bytes = Uint8Array.from(atob(sealed), (char) => char.charCodeAt(0))
  const key = await sealingKey(credential, idempotencyKey)
  try {
    const opened = await crypto.subtle.decrypt({ name: 'AES-GCM', iv: bytes.slice(0, 12) }, key, bytes.slice(12))
    return new TextDecoder().decode(opened)
  } catch {
    return null
  }
}

async function sealingKey(credential: string, idempotencyKey: string) {
  const encoder = new TextEncoder()
  const material = await crypto.subtle.importKey('raw', encoder.encode(credential), 'HKDF', false, ['deriveKey'])
  const derivation = {
    name: 'HKDF',
    hash: 'SHA-256',
    salt: encoder.encode(idempotencyKey),
    info: encoder.encode('desiagent: secret in an idempotent answer'),
  }
  return crypto.subtle.deriveKey(derivation, material, { name: 'AES-GCM', length: 256 }, false, ['encrypt', 'decrypt'])
}
