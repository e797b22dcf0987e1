import fc from 'fast-check'
import { expect, test } from 'vitest'
import { HeldClock } from '#test/features/http/held-clock.ts'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'

interface State {
  name: string
  limit: number
  remaining: number
  resetAt: string | null
}

async function stateOf(client: Client) {
  const { status, body, headers } = await client.get<{ windowSeconds: number; limits: State[] }>('/rate-limit')
  expect(status).toBe(200)
  expect(body.windowSeconds).toBe(60)
  return { limits: new Map(body.limits.map((limit) => [limit.name, limit])), headers }
}

const ENV = { RATE_LIMIT_API_PER_MINUTE: '50', RATE_LIMIT_AUTH_PER_MINUTE: '10', RATE_LIMIT_EXECUTE_PER_MINUTE: '20' }

test('it shows each limit of the key, and asking counts once', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: ENV, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  await acme.post('/dags/execute-definition', {})
  clock.pass(10_000)
  await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })

  for (const asked of [1, 2, 3]) {
    const { limits, headers } = await stateOf(acme)
    expect([...limits.values()]).toEqual([
      { name: 'api', limit: 50, remaining: 48 - asked, resetAt: '2026-03-01T12:01:00.000Z' },
      { name: 'auth', limit: 10, remaining: 9, resetAt: '2026-03-01T12:01:10.000Z' },
      { name: 'execute', limit: 20, remaining: 19, resetAt: '2026-03-01T12:01:00.000Z' },
    ])
    expect(headers.get('x-ratelimit-limit')).toBe('50')
    expect(headers.get('x-ratelimit-remaining')).toBe(String(48 - asked))
    expect(headers.get('x-ratelimit-reset')).toBe(String(Date.parse('2026-03-01T12:01:00Z') / 1000))
  }
})

test('the tenant’s ceiling is shown to those who have one, over all their keys', async () => {
  const api = await startApi({ env: ENV })
  const acme = await api.tenant('acme', { quotas: { requestsPerMinute: 30 } })
  const globex = await api.tenant('globex')
  const { body: second } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  await api.client(second.key).get('/auth/me')

  const { limits, headers } = await stateOf(acme)

  expect(limits.get('tenant')).toMatchObject({ limit: 30, remaining: 27 })
  expect(limits.get('api')).toMatchObject({ limit: 50, remaining: 48 })
  expect([headers.get('x-ratelimit-limit'), headers.get('x-ratelimit-remaining')]).toEqual(['30', '27'])
  const others = await stateOf(globex)
  expect(others.limits.has('tenant')).toBe(false)
  expect(others.limits.get('api')).toMatchObject({ remaining: 49 })
})

test('the super admin sees the limits of the admin key', async () => {
  const api = await startApi({ env: ENV })
  await api.superAdmin.get('/admin/tenants')

  const { limits, headers } = await stateOf(api.superAdmin)

  expect([...limits.keys()]).toEqual(['api', 'auth', 'execute'])
  expect(limits.get('api')).toMatchObject({ limit: 50, remaining: 48 })
  expect(limits.get('auth')).toMatchObject({ remaining: 10, resetAt: null })
  expect(headers.get('x-ratelimit-remaining')).toBe('48')
})

test('a key without any scope but read may ask; nobody without a key', async () => {
  const api = await startApi({ env: ENV })
  const acme = await api.tenant('acme')
  const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })

  expect((await stateOf(api.client(body.key))).limits.get('api')).toMatchObject({ remaining: 49 })
  expect((await api.client(null).get('/rate-limit')).status).toBe(401)
  expect((await api.client('desi_sk_admin_garbage').get('/rate-limit')).status).toBe(401)
})

test('asking is itself limited', async () => {
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '3' } })
  const acme = await api.tenant('acme')
  const remaining = []
  for (let i = 0; i < 3; i += 1) remaining.push((await stateOf(acme)).limits.get('api')?.remaining)

  expect(remaining).toEqual([2, 1, 0])
  expect((await acme.get('/rate-limit')).status).toBe(429)
})

test('whatever was called when, it says what a count by hand says', async () => {
  const clock = new HeldClock()
  const api = await startApi({ env: { RATE_LIMIT_API_PER_MINUTE: '6' }, overrides: { now: clock.now } })
  const acme = await api.tenant('acme', { quotas: { requestsPerMinute: 9 } })
  const { body: second } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  const clients = [acme, api.client(second.key)]
  const calls = fc.array(
    fc.record({
      wait: fc.oneof(fc.constant(0), fc.constant(59_999), fc.constant(60_000), fc.integer({ min: 0, max: 25_000 })),
      by: fc.integer({ min: 0, max: 1 }),
    }),
    { maxLength: 30 },
  )
  await fc.assert(
    fc.asyncProperty(calls, async (steps) => {
      clock.pass(3_600_000)
      const ofKey: [number[], number[]] = [[], []]
      const ofTenant: number[] = []
      for (const { wait, by } of steps) {
        clock.pass(wait)
        const now = clock.now().getTime()
        const recent = (times: number[]) => times.filter((at) => at > now - 60_000)
        const [mine, all] = [recent(ofKey[by as 0]), recent(ofTenant)]
        const { status, body } = await (clients[by] as Client).get('/rate-limit')
        expect(status).toBe(mine.length < 6 && all.length < 9 ? 200 : 429)
        if (mine.length < 6) ofKey[by as 0].push(now) // refused by the tenant's ceiling, it was still a call of the key
        if (status !== 200) continue
        ofTenant.push(now)
        const left = Object.fromEntries(body.limits.map(({ name, remaining }: State) => [name, remaining]))
        expect(left).toMatchObject({ api: 6 - mine.length - 1, tenant: 9 - all.length - 1 })
        const reset = body.limits.find(({ name }: State) => name === 'tenant').resetAt
        expect(Date.parse(reset)).toBe(Math.min(now, ...all) + 60_000)
      }
    }),
    { numRuns: 30 },
  )
})
