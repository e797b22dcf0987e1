import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generateApiKey, parseApiKey } from '#kit/crypto/api-key.ts'
import { BASE62 } from '#kit/crypto/base62.ts'
import { crc32 } from '#kit/crypto/crc32.ts'
import { startApi } from '#test/support/start-api.ts'
import { withTypo } from './forged-keys.ts'

test('a key is 63 characters: prefix, public id, secret, checksum', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  for (const key of [acme.key as string, body.key]) {
    expect(key).toMatch(/^desi_sk_live_[0-9A-Za-z]{12}[0-9A-Za-z]{32}[0-9A-Za-z]{6}$/)
    expect(key.length).toBe(63)
  }
  expect(body.keyPrefix).toBe(body.key.slice(0, 25))
})

test('a deployment says which kind of keys it makes', async () => {
  const acme = await (await startApi({ env: { API_KEY_ENV: 'test' } })).tenant('acme')
  expect(acme.key).toMatch(/^desi_sk_test_/)
  expect((await acme.get('/auth/me')).status).toBe(200)
})

test('a key and its hash stay under the 72 bytes that bcrypt reads', () => {
  for (const environment of ['live', 'test', 'admin'] as const) {
    expect(generateApiKey(environment).key.length).toBeLessThanOrEqual(72)
  }
})

test('the checksum is the CRC-32 everybody else computes', () => {
  expect(crc32('123456789')).toBe(0xcbf43926)
  expect(crc32('')).toBe(0)
})

test('a generated key is read back, and its id and secret differ each time', () => {
  const keys = Array.from({ length: 200 }, () => generateApiKey('live'))
  for (const { key, keyId } of keys) expect(parseApiKey(key)).toEqual({ environment: 'live', keyId })
  expect(new Set(keys.map(({ keyId }) => keyId)).size).toBe(200)
  expect(new Set(keys.map(({ key }) => key.slice(25, 57))).size).toBe(200)
})

test('one wrong character anywhere is noticed', () => {
  const characters = fc.constantFrom(...BASE62)
  fc.assert(
    fc.property(fc.integer({ min: 13, max: 62 }), characters, (position, character) => {
      const { key } = generateApiKey('live')
      fc.pre(key[position] !== character)
      expect(parseApiKey(key.slice(0, position) + character + key.slice(position + 1))).toBeNull()
    }),
    { numRuns: 500 },
  )
})

test('two characters that changed places are noticed', () => {
  fc.assert(
    fc.property(fc.integer({ min: 13, max: 61 }), (position) => {
      const { key } = generateApiKey('live')
      fc.pre(key[position] !== key[position + 1])
      const swapped = key.slice(0, position) + key[position + 1] + key[position] + key.slice(position + 2)
      expect(parseApiKey(swapped)).toBeNull()
    }),
  )
})

test('nothing else is a key', () => {
  fc.assert(fc.property(fc.string({ maxLength: 100 }), (text) => parseApiKey(text) === null))
  const { key } = generateApiKey('live')
  for (const text of [
    `${key} `,
    ` ${key}`,
    `${key}\n`,
    key.slice(1),
    `${key}0`,
    key.replace('live', 'prod'),
    key.toUpperCase(),
  ]) {
    expect(parseApiKey(text), text).toBeNull()
  }
})

test('a mistyped key is refused even when no database answers', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await api.api.stores.homes.use(acme.tenantId, (db) => db.destroy())
  await api.api.stores.control.destroy()

  expect((await acme.get('/auth/me')).status).toBe(500) // a good key does need them
  for (const key of [withTypo(acme.key as string), withTypo(api.superAdmin.key as string), 'desi_sk_live_short', 'x']) {
    const { status, body } = await api.client(key).get('/auth/me')
    expect([status, body.code]).toEqual([401, 'invalid_api_key'])
    expect((await api.client(key).get('/admin/tenants')).status).toBe(401)
  }
})
