import { randomBase62, toBase62 } from '#kit/crypto/base62.ts'
import { crc32 } from '#kit/crypto/crc32.ts'

/** A well-formed key with the public part of `key` and another secret: what a guesser would send. */
export function guessFor(key: string): string {
  const body = key.slice(0, -38) + randomBase62(32)
  return body + toBase62(crc32(body), 6)
}

/** `key` with one character of its secret changed and the checksum left as it was. */
export function withTypo(key: string, position = key.length - 20): string {
  const other = key[position] === 'a' ? 'b' : 'a'
  return key.slice(0, position) + other + key.slice(position + 1)
}
