import { describe, expect, test } from 'vitest'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

const DAY_MS = 24 * 3_600_000

async function start() {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  return { api, acme: await api.tenant('acme'), clock }
}

test('a tenant sees itself with its plan and quotas', async () => {
  const { api } = await start()
  const globex = await api.tenant('globex', { plan: 'free', quotas: { maxUsers: 7 } })
  const { status, body } = await globex.get('/tenant')
  expect(status).toBe(200)
  expect(body).toEqual({
    id: globex.tenantId,
    name: 'globex',
    slug: 'globex',
    status: 'active',
    plan: 'free',
    quotas: {
      maxUsers: 7,
      maxAgents: 25,
      maxExecutionsPerMonth: 500,
      maxTokensPerMonth: 2_000_000,
      maxConcurrentExecutions: 5,
      requestsPerMinute: null,
    },
    maxApiKeyAgeDays: null,
    updatedAt: '2026-03-01T12:00:00.000Z',
  })
})

test('one tenant cannot see or change another tenant’s settings', async () => {
  const { api, acme } = await start()
  const globex = await api.tenant('globex')
  await acme.patch('/tenant', { maxApiKeyAgeDays: 30 })
  expect((await acme.get('/tenant')).body).toMatchObject({ id: acme.tenantId, maxApiKeyAgeDays: 30 })
  expect((await globex.get('/tenant')).body).toMatchObject({ id: globex.tenantId, maxApiKeyAgeDays: null })
})

test('the greatest age of keys is 1 to 3650 days, or none', async () => {
  const { acme, clock } = await start()
  clock.pass(1_000)
  for (const maxApiKeyAgeDays of [1, 3_650, null]) {
    const { status, body } = await acme.patch('/tenant', { maxApiKeyAgeDays })
    expect([status, body.maxApiKeyAgeDays]).toEqual([200, maxApiKeyAgeDays])
    expect((await acme.get('/tenant')).body).toEqual(body)
    expect(body.updatedAt).toBe('2026-03-01T12:00:01.000Z')
  }
  for (const maxApiKeyAgeDays of [0, -1, 3_651, 1.5, '30', undefined]) {
    expect((await acme.patch('/tenant', { maxApiKeyAgeDays })).body.code).toBe('validation_failed')
  }
})

test('a tenant may not give itself a plan, quotas or another name', async () => {
  const { acme } = await start()
  for (const more of [{ plan: 'enterprise' }, { quotas: { maxUsers: null } }, { name: 'x' }, { status: 'active' }]) {
    expect((await acme.patch('/tenant', { maxApiKeyAgeDays: 30, ...more })).body.code).toBe('validation_failed')
  }
  expect((await acme.get('/tenant')).body.maxApiKeyAgeDays).toBeNull()
})

test('only the admin scope changes it', async () => {
  const { api, acme } = await start()
  const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'write', 'execute'] })
  const program = api.client(body.key)
  expect((await program.get('/tenant')).status).toBe(200)
  expect((await program.patch('/tenant', { maxApiKeyAgeDays: 1 })).body.code).toBe('insufficient_scope')
})

describe('when keys may last 30 days', () => {
  async function bounded() {
    const { api, acme, clock } = await start()
    const { body: earlier } = await acme.post('/auth/api-keys', { name: 'earlier', scopes: ['read'] })
    await acme.patch('/tenant', { maxApiKeyAgeDays: 30 })
    const make = (expiresAt?: string) => acme.post('/auth/api-keys', { name: 'k', scopes: ['read'], expiresAt })
    return { api, clock, earlier, make }
  }

  test('a key without a wish gets 30 days', async () => {
    const { api, clock, make } = await bounded()
    const { body } = await make()
    expect(body.expiresAt).toBe('2026-03-31T12:00:00.000Z')
    clock.pass(30 * DAY_MS - 1)
    expect((await api.client(body.key).get('/auth/me')).status).toBe(200)
    clock.pass(1)
    expect((await api.client(body.key).get('/auth/me')).status).toBe(401)
  })

  test('a key may end sooner or on the last day, not later', async () => {
    const { make } = await bounded()
    expect((await make('2026-03-02T00:00:00Z')).body.expiresAt).toBe('2026-03-02T00:00:00.000Z')
    expect((await make('2026-03-31T12:00:00Z')).status).toBe(201)
    const { status, body } = await make('2026-03-31T12:00:00.001Z')
    expect([status, body.code, body.details]).toEqual([422, 'api_key_too_old', { maxAgeDays: 30 }])
  })

  test('keys made before keep their end', async () => {
    const { api, clock, earlier } = await bounded()
    clock.pass(31 * DAY_MS)
    expect((await api.client(earlier.key).get('/auth/me')).status).toBe(200)
  })
})

test('without a greatest age a key lasts as long as it is asked to', async () => {
  const { acme } = await start()
  const make = (more: object) => acme.post('/auth/api-keys', { name: 'k', scopes: ['read'], ...more })
  expect((await make({})).body.expiresAt).toBeNull()
  expect((await make({ expiresAt: '2099-01-01T00:00:00Z' })).body.expiresAt).toBe('2099-01-01T00:00:00.000Z')
  const { status, body } = await make({ expiresAt: '2026-03-01T12:00:00Z' })
  expect([status, body.details[0].path]).toEqual([400, 'expiresAt'])
})
