import { customAlphabet } from 'nanoid'

export const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Unguessable base62 text of this length: 5.95 bits a character, from the platform's random source. */
export const randomBase62 = customAlphabet(BASE62)

/** A whole number in base62, padded with zeros to `length`. */
export function toBase62(value: number, length: number): string {
  let digits = ''
  for (let rest = value; rest > 0; rest = Math.floor(rest / 62)) digits = BASE62[rest % 62] + digits
  return digits.padStart(length, '0')
}
