import fc from 'fast-check'
import { expect, test } from 'vitest'
import { importSigningKey, newSigningSecret, openSignedText, signText } from '#kit/crypto/signed-text.ts'

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

test('whatever text is signed is opened again, and fits into a URL as it is', async () => {
  const key = await importSigningKey(newSigningSecret())
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }), async (text) => {
      const signed = await signText(text, key)
      expect(encodeURIComponent(signed)).toBe(signed)
      expect(await openSignedText(signed, key)).toBe(text)
    }),
    { numRuns: 200 },
  )
})

test('a change of any character, however slight, is noticed', async () => {
  const key = await importSigningKey(newSigningSecret())
  const signed = await signText('["tenant","execution"]', key)
  for (let at = 0; at < signed.length; at += 1) {
    if (signed[at] === '.') continue
    const others = [...ALPHABET].filter((char) => char !== signed[at])
    // All of them at the ends, where a decoder overlooks the bits that are left over.
    const tried = at > signed.length - 3 || signed[at + 1] === '.' ? others : others.slice(0, 3)
    for (const char of tried) {
      const changed = signed.slice(0, at) + char + signed.slice(at + 1)
      expect(await openSignedText(changed, key), `${at} ${char}`).toBeNull()
    }
  }
})

test('what was signed with another key, or is no signed text at all, is not opened', async () => {
  const [ours, theirs] = [await importSigningKey(newSigningSecret()), await importSigningKey(newSigningSecret())]
  const signed = await signText('hello', theirs)
  const [text = '', mac = ''] = signed.split('.')
  expect(await openSignedText(signed, theirs)).toBe('hello')
  for (const forged of [
    signed,
    '',
    '.',
    text,
    `${text}.`,
    `.${mac}`,
    `${text}.${mac}.${mac}`,
    `${signed} `,
    `${signed}=`,
    'é.é',
  ]) {
    expect(await openSignedText(forged, ours), forged).toBeNull()
    if (forged !== signed) expect(await openSignedText(forged, theirs), forged).toBeNull()
  }
  await expect(importSigningKey('too-short')).rejects.toThrow()
})
