import { expect, test } from 'vitest'
import { generateApiKey } from '#kit/crypto/api-key.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'
import { countingHasher } from './counting-hasher.ts'
import { guessFor, withTypo } from './forged-keys.ts'

const ELSEWHERE = '198.51.100.7'

async function start() {
  const hasher = countingHasher()
  const clock = new HeldClock()
  const api = await startApi({ overrides: { hasher, now: clock.now } })
  const acme = await api.tenant('acme')
  hasher.compared.length = 0
  return { api, acme, key: acme.key as string, hasher, clock }
}

test('a key is hashed at its first call and never again', async () => {
  const { acme, hasher } = await start()
  for (let i = 0; i < 5; i += 1) expect((await acme.get('/auth/me')).status).toBe(200)
  expect(hasher.compared).toEqual([acme.key])
})

test('50 first calls at once are one hash', async () => {
  const { acme, hasher } = await start()
  const answers = await Promise.all(Array.from({ length: 50 }, () => acme.get('/auth/me')))
  expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([200]))
  expect(hasher.compared.length).toBe(1)
})

test('a super-admin key is hashed once too', async () => {
  const { api, hasher } = await start()
  hasher.compared.length = 0
  for (let i = 0; i < 3; i += 1) expect((await api.superAdmin.get('/admin/tenants')).status).toBe(200)
  expect(hasher.compared).toEqual([]) // creating the tenant was its first call
})

test('mistyped, unknown and foreign keys cost no hash', async () => {
  const { api, key, hasher } = await start()
  for (const wrong of [
    withTypo(key),
    generateApiKey('live').key,
    generateApiKey('test').key,
    generateApiKey('admin').key,
  ]) {
    expect((await api.client(wrong).get('/auth/me')).status).toBe(401)
  }
  expect(hasher.compared).toEqual([])
})

test('over-long credentials are never hashed', async () => {
  const { api, key, hasher } = await start()
  for (const long of [key + '0'.repeat(10), key.repeat(2), key + 'x'.repeat(8_000)]) {
    expect((await api.client(long).get('/auth/me')).status).toBe(401)
  }
  expect(hasher.compared).toEqual([])
})

test('200 guesses for one key, one after the other, cost 5 hashes and are then told to wait', async () => {
  const { api, key, hasher } = await start()
  const guesser = () => api.client(guessFor(key), ELSEWHERE)
  const statuses: number[] = []
  for (let i = 0; i < 200; i += 1) statuses.push((await guesser().get('/auth/me')).status)
  expect(statuses.slice(0, 5)).toEqual([401, 401, 401, 401, 401])
  expect(new Set(statuses.slice(5))).toEqual(new Set([429]))
  expect(hasher.compared.length).toBe(5)

  const { body, headers } = await guesser().get('/auth/me')
  expect(body).toMatchObject({ code: 'rate_limited', details: { limit: 5, windowSeconds: 60 } })
  expect(headers.get('retry-after')).toBe('60')
})

test('200 guesses at once cost no more', async () => {
  const { api, key, hasher } = await start()
  const answers = await Promise.all(
    Array.from({ length: 200 }, () => api.client(guessFor(key), ELSEWHERE).get('/auth/me')),
  )
  expect(answers.filter(({ status }) => status === 401).length).toBe(5)
  expect(answers.filter(({ status }) => status === 429).length).toBe(195)
  expect(hasher.compared.length).toBe(5)
})

test('one guess repeated 200 times costs no more either', async () => {
  const { api, key, hasher } = await start()
  const guess = guessFor(key)
  for (let i = 0; i < 50; i += 1) await api.client(guess, ELSEWHERE).get('/auth/me')
  await Promise.all(Array.from({ length: 150 }, () => api.client(guess, ELSEWHERE).get('/auth/me')))
  expect(hasher.compared.length).toBeLessThanOrEqual(5)
})

test('the owner of a guessed key is not disturbed', async () => {
  const { api, acme, key } = await start()
  const early = api.client(key, '203.0.113.5')
  expect((await early.get('/auth/me')).status).toBe(200)
  await Promise.all(Array.from({ length: 50 }, () => api.client(guessFor(key), ELSEWHERE).get('/auth/me')))
  expect((await acme.get('/auth/me')).status).toBe(200)
  expect((await api.client(key, ELSEWHERE).get('/auth/me')).status).toBe(200)
})

test('a key new to the process works from another address while it is being guessed', async () => {
  const { api, key } = await start()
  await Promise.all(Array.from({ length: 50 }, () => api.client(guessFor(key), ELSEWHERE).get('/auth/me')))
  expect((await api.client(key, '203.0.113.5').get('/auth/me')).status).toBe(200)
})

test('after a minute there are 5 more guesses', async () => {
  const { api, key, hasher, clock } = await start()
  const guess = () => api.client(guessFor(key), ELSEWHERE).get('/auth/me')
  for (let i = 0; i < 10; i += 1) await guess()
  clock.pass(59_999)
  expect((await guess()).status).toBe(429)
  clock.pass(1)
  for (let i = 0; i < 10; i += 1) await guess()
  expect(hasher.compared.length).toBe(10)
})

test('one address gets 20 hashes a minute over all keys it guesses', async () => {
  const { api, acme, hasher } = await start()
  const keys = await Promise.all(
    Array.from(
      { length: 12 },
      async () => (await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })).body.key,
    ),
  )
  hasher.compared.length = 0
  const statuses: number[] = []
  for (let round = 0; round < 4; round += 1) {
    for (const key of keys) statuses.push((await api.client(guessFor(key), ELSEWHERE).get('/auth/me')).status)
  }
  expect(hasher.compared.length).toBe(20)
  expect(statuses.filter((status) => status === 429).length).toBe(28)
  expect((await api.client(guessFor(keys[0]), '203.0.113.5').get('/auth/me')).status).toBe(401)
})

test('first calls of many good keys behind one address are not taken for guesses', async () => {
  const { api, acme } = await start()
  const keys = await Promise.all(
    Array.from(
      { length: 30 },
      async () => (await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })).body.key,
    ),
  )
  for (const key of keys) expect((await api.client(key, ELSEWHERE).get('/auth/me')).status).toBe(200)
})

test('guessing the super-admin key is bounded the same way', async () => {
  const { api, hasher } = await start()
  const key = api.superAdmin.key as string
  for (let i = 0; i < 30; i += 1) await api.client(guessFor(key), ELSEWHERE).get('/admin/tenants')
  for (let i = 0; i < 30; i += 1) await api.client(guessFor(key), ELSEWHERE).get('/agents')
  expect(hasher.compared.length).toBe(5)
  expect((await api.superAdmin.get('/admin/tenants')).status).toBe(200)
})

test('keys of another environment are refused', async () => {
  const live = await startApi()
  const acme = await live.tenant('acme')
  await live.close()
  const test = await startApi({ dataDir: live.dataDir, env: { API_KEY_ENV: 'test' } })
  const { status, body } = await test.client(acme.key).get('/auth/me')
  expect([status, body.code]).toEqual([401, 'invalid_api_key'])
})

test('the word Bearer may be written as one likes, the key may not', async () => {
  const { api, key } = await start()
  const status = async (authorization: string) =>
    (await api.client(null).raw('/api/v2/auth/me', { headers: { authorization } })).status
  expect(await status(`bearer ${key}`)).toBe(200)
  expect(await status(`BEARER   ${key}`)).toBe(200)
  for (const wrong of [
    key,
    `Basic ${key}`,
    `Bearer ${key} x`,
    'Bearer',
    `Bearer ${key.toLowerCase()}`,
    `Bearer "${key}"`,
  ]) {
    expect(await status(wrong), wrong).toBe(401)
  }
})
