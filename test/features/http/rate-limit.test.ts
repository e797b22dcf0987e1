import fc from 'fast-check'
import { expect, test } from 'vitest'
import { generateApiKey } from '#kit/crypto/api-key.ts'
import { readConfig } from '#src/config.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from './held-clock.ts'

const statuses = (answers: { status: number }[]) => answers.map(({ status }) => status)
const count = (answers: { status: number }[], wanted: number) =>
  answers.filter(({ status }) => status === wanted).length

async function times<T>(count: number, call: (i: number) => Promise<T>): Promise<T[]> {
  const answers: T[] = []
  for (let i = 0; i < count; i += 1) answers.push(await call(i))
  return answers
}

test('a key has exactly its calls a minute, and is told how many are left', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '100' }, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')

  const answers = await times(100, () => acme.get('/auth/me'))
  expect(count(answers, 200)).toBe(100)
  expect(answers.map(({ headers }) => Number(headers.get('x-ratelimit-remaining')))).toEqual(
    Array.from({ length: 100 }, (_, i) => 99 - i),
  )
  clock.pass(10_500)
  const { status, body, headers } = await acme.get('/auth/me')

  expect(status).toBe(429)
  expect(body).toMatchObject({
    statusCode: 429,
    error: 'Too Many Requests',
    code: 'rate_limited',
    details: { limit: 100, windowSeconds: 60 },
  })
  expect(headers.get('retry-after')).toBe('50')
  expect(headers.get('x-ratelimit-limit')).toBe('100')
  expect(headers.get('x-ratelimit-remaining')).toBe('0')
  expect(headers.get('x-ratelimit-reset')).toBe(String(Date.parse('2026-03-01T12:01:00Z') / 1000))
})

test('of 200 calls at once exactly the limit passes', async () => {
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '100' } })
  const acme = await api.tenant('acme')
  const answers = await Promise.all(Array.from({ length: 200 }, () => acme.get('/auth/me')))
  expect(count(answers, 200)).toBe(100)
  expect(count(answers, 429)).toBe(100)
})

test('whoever waits as long as Retry-After says gets through', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '3' }, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  await times(3, () => acme.get('/auth/me').finally(() => clock.pass(7_300)))
  const refused = await acme.get('/auth/me')
  expect(refused.status).toBe(429)

  const waitMs = Number(refused.headers.get('retry-after')) * 1000
  clock.pass(waitMs - 1_001)
  expect((await acme.get('/auth/me')).status).toBe(429)
  clock.pass(1_001)
  expect((await acme.get('/auth/me')).status).toBe(200)
})

test('no 60 seconds hold more calls than the limit, whenever they come', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '5' }, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const gaps = fc.array(fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 30_000 })), { maxLength: 25 })
  await fc.assert(
    fc.asyncProperty(gaps, async (steps) => {
      clock.pass(3_600_000)
      const passed: number[] = []
      for (const step of steps) {
        clock.pass(step)
        const now = clock.now().getTime()
        const hasRoom = passed.filter((at) => at > now - 60_000).length < 5
        expect((await acme.get('/auth/me')).status).toBe(hasRoom ? 200 : 429)
        if (hasRoom) passed.push(now)
      }
    }),
    { numRuns: 25 },
  )
})

test('a key that is out of calls does not slow down another, not even of the same user', async () => {
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '4' } })
  const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
  const { body } = await acme.post('/auth/api-keys', { name: 'second', scopes: ['read'] })
  await times(5, () => acme.get('/auth/me'))
  expect((await acme.get('/auth/me')).status).toBe(429)
  expect((await globex.get('/auth/me')).status).toBe(200)
  expect((await api.client(body.key).get('/auth/me')).status).toBe(200)
})

test('calls that fail count against the key like others', async () => {
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '4' } })
  const acme = await api.tenant('acme')
  await acme.post('/agents', {})
  await acme.get('/agents?limit=0')
  await acme.get(`/agents/${crypto.randomUUID()}`)
  const { body } = await acme.post('/auth/api-keys', { name: 'r', scopes: ['read'] })
  expect((await acme.get('/auth/me')).status).toBe(429)
  const reader = api.client(body.key)
  expect(statuses(await times(5, () => reader.post('/agents', {})))).toEqual([403, 403, 403, 403, 429])
})

test('planning and starting work has a tighter limit on top', async () => {
  const api = await startApi({ env: { RATE_LIMIT_EXECUTE_PER_MINUTE: '20' } })
  const acme = await api.tenant('acme')
  const answers = await times(20, () => acme.post('/dags/execute-definition', {}))
  expect(count(answers, 400)).toBe(20)
  const refused = await acme.post('/create-execute', {})
  expect(refused.status).toBe(429)
  expect(refused.body.details.limit).toBe(20)
  expect(refused.headers.get('x-ratelimit-limit')).toBe('20')
  expect((await acme.post('/dags', {})).status).toBe(429)
  expect((await acme.get('/dags')).status).toBe(200)
})

test('calls for work also count as calls', async () => {
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '3' } })
  const acme = await api.tenant('acme')
  await times(3, () => acme.post('/create-execute', {}))
  expect((await acme.get('/auth/me')).status).toBe(429)
})

test('making and ending credentials has a limit of its own', async () => {
  const api = await startApi({ env: { RATE_LIMIT_AUTH_PER_MINUTE: '10' } })
  const acme = await api.tenant('acme')
  const made = await times(10, () => acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] }))
  expect(count(made, 201)).toBe(10)
  expect((await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })).status).toBe(429)
  expect((await acme.delete(`/auth/api-keys/${made[0]?.body.id}`)).status).toBe(429)
  expect((await acme.get('/auth/api-keys')).status).toBe(200)
})

const ADDRESS_LIMIT = { RATE_LIMIT_ADDRESS_PER_MINUTE: '10' }

test('anonymous and failed calls of an address are counted together', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: ADDRESS_LIMIT, overrides: { now: clock.now } })
  const [nobody, stranger] = [api.client(null), api.client('garbage')]
  const answers = [
    ...(await times(4, () => nobody.get('/openapi.json'))),
    ...(await times(3, () => nobody.get('/agents'))),
    ...(await times(3, () => stranger.get('/agents'))),
  ]
  expect(statuses(answers)).toEqual([200, 200, 200, 200, 401, 401, 401, 401, 401, 401])
  clock.pass(20_000)
  for (const refused of [await nobody.get('/openapi.json'), await nobody.get('/agents'), await stranger.get('/dags')]) {
    expect(refused.status).toBe(429)
    expect(refused.headers.get('retry-after')).toBe('40')
  }
  expect((await api.client('garbage', '192.0.2.2').get('/agents')).status).toBe(401)
  clock.pass(40_000)
  expect((await stranger.get('/agents')).status).toBe(401)
})

test('good keys pass from an address that has used up its anonymous calls', async () => {
  const api = await startApi({ env: ADDRESS_LIMIT })
  const acme = await api.tenant('acme')
  await times(15, () => api.client('garbage').get('/agents'))
  expect((await api.client('garbage').get('/agents')).status).toBe(429)
  expect(count(await times(20, () => acme.get('/auth/me')), 200)).toBe(20)
})

test('calls of good keys do not count against their address', async () => {
  const api = await startApi({ env: ADDRESS_LIMIT })
  const acme = await api.tenant('acme')
  await times(30, () => acme.get('/auth/me'))
  expect((await api.client(null).get('/openapi.json')).status).toBe(200)
})

test('health checks are never limited and use up nothing', async () => {
  const api = await startApi({ env: ADDRESS_LIMIT })
  const probes = ['/health', '/health/ready', '/api/v2/health', '/api/v2/health/ready']
  for (const path of probes) {
    expect(count(await times(15, () => api.client(null).raw(path)), 200)).toBe(15)
  }
  expect(count(await times(10, () => api.client(null).get('/openapi.json')), 200)).toBe(10)
  expect((await api.client(null).get('/openapi.json')).status).toBe(429)
  expect((await api.client(null).raw('/health')).status).toBe(200)
})

test('another text after Bearer each time gains nothing', async () => {
  const api = await startApi({ env: ADDRESS_LIMIT })
  const bearers = [
    () => crypto.randomUUID(),
    () => generateApiKey('live').key,
    () => generateApiKey('admin').key,
    () => `${generateApiKey('live').key.slice(0, -1)}!`,
  ]
  const answers = await times(20, () => {
    const bearer = bearers[Math.floor(Math.random() * bearers.length)] as () => string
    return api.client(bearer()).get('/agents')
  })
  expect(count(answers, 401)).toBe(10)
  expect(count(answers, 429)).toBe(10)
})

test('a claimed X-Forwarded-For changes nothing unless a trusted proxy wrote it', async () => {
  const api = await startApi({ env: ADDRESS_LIMIT })
  const forged = (i: number) => ({ 'x-forwarded-for': `203.0.113.${i}`, forwarded: `for=203.0.113.${i}` })
  const answers = await times(20, (i) => api.client('garbage').get('/agents', forged(i)))
  expect(count(answers, 401)).toBe(10)
})

test('behind a trusted proxy each caller has the share of its own address', async () => {
  const api = await startApi({ env: { ...ADDRESS_LIMIT, TRUSTED_PROXIES: '192.0.2.0/24' } })
  const from = (chain: string) => () => api.client('garbage').get('/agents', { 'x-forwarded-for': chain })
  expect(count(await times(11, from('203.0.113.1')), 401)).toBe(10)
  expect(count(await times(11, from('203.0.113.2')), 401)).toBe(10)
  expect(count(await times(20, (i) => from(`198.51.100.${i}, 203.0.113.3`)()), 401)).toBe(10)
  expect((await api.client('garbage', '198.18.0.1').get('/agents', { 'x-forwarded-for': '203.0.113.1' })).status).toBe(
    401,
  )
})

const quotas = (requestsPerMinute: number) => ({ quotas: { requestsPerMinute } })

test('of 200 calls at once the 100 that are refused say when to come back, each with the limit', async () => {
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '100' } })
  const acme = await api.tenant('acme')
  const answers = await Promise.all(Array.from({ length: 200 }, () => acme.get('/auth/me')))
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused).toHaveLength(100)
  for (const { headers, body } of refused) {
    expect(Number(headers.get('retry-after'))).toBeGreaterThanOrEqual(58)
    expect(Number(headers.get('retry-after'))).toBeLessThanOrEqual(60)
    expect([headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')]).toEqual(['100', '0'])
    expect(Number(headers.get('x-ratelimit-reset'))).toBeGreaterThan(Date.now() / 1000)
    expect(body).toMatchObject({ code: 'rate_limited', message: expect.stringContaining('Retry-After') })
  }
  const left = answers.filter(({ status }) => status === 200).map((a) => Number(a.headers.get('x-ratelimit-remaining')))
  expect(left.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i))
})

test('at the edge of the window the 101st call waits to the millisecond', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '100' }, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  await times(1, () => acme.get('/auth/me'))
  clock.pass(59_000)
  expect(count(await times(99, () => acme.get('/auth/me')), 200)).toBe(99)
  clock.pass(999)
  expect((await acme.get('/auth/me')).status).toBe(429)
  clock.pass(1)
  // Only the first call is forgotten; a window that started anew would let a hundred pass within two seconds.
  expect(statuses(await times(3, () => acme.get('/auth/me')))).toEqual([200, 429, 429])
})

test('a tenant’s ceiling holds over all of its keys, and minting more gains nothing', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme', quotas(30))
  const globex = await api.tenant('globex')
  const minted = await times(4, () => acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'admin'] }))
  const keys = minted.map(({ body }) => api.client(body.key))
  const answers = await Promise.all(keys.flatMap((key) => Array.from({ length: 10 }, () => key.get('/auth/me'))))
  expect([count(answers, 200), count(answers, 429)]).toEqual([26, 14])
  for (const { body, headers } of answers.filter(({ status }) => status === 429)) {
    expect(body.details).toEqual({ limit: 30, windowSeconds: 60 })
    expect([headers.get('retry-after'), headers.get('x-ratelimit-limit')]).toEqual(['60', '30'])
  }
  expect((await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })).status).toBe(429)
  expect((await globex.get('/auth/me')).status).toBe(200)
  clock.pass(60_000)
  expect((await acme.get('/auth/me')).status).toBe(200)
})

test('two tenants with a ceiling do not use up each other’s', async () => {
  const api = await startApi()
  const [acme, globex] = [await api.tenant('acme', quotas(5)), await api.tenant('globex', quotas(5))]
  expect(count(await times(8, () => acme.get('/auth/me')), 200)).toBe(5)
  expect(count(await times(8, () => globex.get('/auth/me')), 200)).toBe(5)
})

test('a ceiling that is changed goes on counting what was called under the one before', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme', { quotas: { requestsPerMinute: 30 } })
  const setCeiling = (requestsPerMinute: number) =>
    api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { quotas: { requestsPerMinute } })
  expect(count(await times(30, () => acme.get('/auth/me')), 200)).toBe(30)

  await setCeiling(40)
  expect(count(await times(20, () => acme.get('/auth/me')), 200)).toBe(10)
  await setCeiling(5)
  const { status, headers } = await acme.get('/auth/me')
  expect([status, headers.get('retry-after')]).toEqual([429, '60'])
  clock.pass(60_000)
  expect(count(await times(10, () => acme.get('/auth/me')), 200)).toBe(5)
})

test('a ceiling counts from the moment the super admin sets it, and no longer once it is lifted', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await times(10, () => acme.get('/auth/me'))
  const change = (body: object) => api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, body)
  expect((await change(quotas(3))).status).toBe(200)
  expect(count(await times(5, () => acme.get('/auth/me')), 200)).toBe(3)
  expect((await change({ quotas: { requestsPerMinute: null } })).status).toBe(200)
  expect(count(await times(5, () => acme.get('/auth/me')), 200)).toBe(5)
})

test('the headers tell of the limit the caller will meet first', async () => {
  const api = await startApi({
    env: {
      RATE_LIMIT_API_PER_MINUTE: '12',
      RATE_LIMIT_EXECUTE_PER_MINUTE: '8',
      RATE_LIMIT_AUTH_PER_MINUTE: '2',
    },
  })
  const acme = await api.tenant('acme', quotas(10))
  const told = ({ headers }: { headers: Headers }) => [
    Number(headers.get('x-ratelimit-limit')),
    Number(headers.get('x-ratelimit-remaining')),
  ]
  expect(told(await acme.get('/auth/me'))).toEqual([10, 9])
  expect(told(await acme.post('/dags/execute-definition', {}))).toEqual([8, 7])
  expect(told(await acme.post('/auth/api-keys', {}))).toEqual([2, 1])
  await times(4, () => acme.get('/auth/me'))
  expect(told(await acme.post('/dags/execute-definition', {}))).toEqual([10, 2])
})

test('auth, work and other calls each have their own count', async () => {
  const api = await startApi({ env: { RATE_LIMIT_AUTH_PER_MINUTE: '10', RATE_LIMIT_EXECUTE_PER_MINUTE: '20' } })
  const acme = await api.tenant('acme')
  const auth = await times(12, () => acme.post('/auth/api-keys', {}))
  const execute = await times(23, () => acme.post('/dags/execute-definition', {}))
  expect([count(auth, 400), count(auth, 429)]).toEqual([10, 2])
  expect([count(execute, 400), count(execute, 429)]).toEqual([20, 3])
  expect(count(await times(30, () => acme.get('/agents')), 200)).toBe(30)
})

test('the documented limits are the ones that hold when nobody sets others', async () => {
  const { RATE_LIMIT_API_PER_MINUTE, RATE_LIMIT_AUTH_PER_MINUTE, RATE_LIMIT_EXECUTE_PER_MINUTE } = readConfig({})
  expect([RATE_LIMIT_API_PER_MINUTE, RATE_LIMIT_AUTH_PER_MINUTE, RATE_LIMIT_EXECUTE_PER_MINUTE]).toEqual([100, 10, 20])
})

test('ordinary use meets no limit: a minute of work with pauses, and everything is answered', async () => {
  const clock = new HeldClock()
  const defaults = { RATE_LIMIT_API_PER_MINUTE: '100', RATE_LIMIT_EXECUTE_PER_MINUTE: '20' }
  const api = await startApi({ env: defaults, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const answers = await times(300, async (i) => {
    clock.pass(700)
    return i % 10 === 0 ? acme.post('/dags/execute-definition', {}) : acme.get('/agents')
  })
  expect(count(answers, 429)).toBe(0)
})
