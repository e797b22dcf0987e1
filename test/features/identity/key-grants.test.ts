import { describe, expect, test } from 'vitest'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

const HOME = '192.0.2.1'
const OFFICE = '198.51.100.0/24'
const MEMBER = ['read', 'write', 'execute']
const END = '2026-03-10T12:00:00.000Z'

/** A key of these scopes and bounds, and a client that calls with it from where it may. */
async function start(more: object, scopes: readonly string[] = MEMBER) {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { status, body } = await acme.post('/auth/api-keys', { name: 'program', scopes, ...more })
  expect(status).toBe(201)
  const program = api.client(body.key, HOME)
  const make = (wanted: object = {}) => program.post('/auth/api-keys', { name: 'made', scopes: ['read'], ...wanted })
  const rotate = (id: string) => program.post(`/auth/api-keys/${id}/rotate`, {})
  return { api, acme, clock, made: body, make, rotate }
}

async function indexed(api: TestApi): Promise<number> {
  return (await api.api.stores.control.selectFrom('key_index').select('key_id').execute()).length
}

describe('a key that is bound to addresses', () => {
  const bound = { allowedAddresses: [HOME, OFFICE] }

  test('passes all of them on, or some', async () => {
    const { make } = await start(bound)
    expect((await make()).body.allowedAddresses).toEqual([HOME, OFFICE])
    expect((await make({ allowedAddresses: [OFFICE] })).body.allowedAddresses).toEqual([OFFICE])
  })

  test('passes no others on, not even beside its own', async () => {
    const { api, make } = await start(bound)
    const before = await indexed(api)
    for (const list of [['203.0.113.9'], [HOME, '203.0.113.9'], ['0.0.0.0/0'], ['198.51.100.7']]) {
      const { status, body } = await make({ allowedAddresses: list })
      expect([status, body.code, body.details], list.join()).toEqual([
        403,
        'address_not_grantable',
        { grantable: [HOME, OFFICE] },
      ])
    }
    expect(await indexed(api)).toBe(before)
  })

  test('rotates itself into one that is bound the same', async () => {
    const { api, made, rotate } = await start(bound)
    const { status, body } = await rotate(made.id)
    expect([status, body.allowedAddresses]).toEqual([201, [HOME, OFFICE]])
    expect((await api.client(body.key, '203.0.113.9').get('/auth/me')).body.code).toBe('address_not_allowed')
  })

  test('rotates no key of its user that is bound less, which stays as it was', async () => {
    const { api, acme, rotate } = await start(bound)
    for (const more of [{}, { allowedAddresses: [HOME, '203.0.113.9'] }]) {
      const { body: other } = await acme.post('/auth/api-keys', { name: 'other', scopes: ['read'], ...more })
      const { status, body } = await rotate(other.id)
      expect([status, body.code]).toEqual([403, 'address_not_grantable'])
      expect((await api.client(other.key, HOME).get('/auth/me')).status).toBe(200)
    }
    const { body: less } = await acme.post('/auth/api-keys', { name: 'l', scopes: ['read'], allowedAddresses: [HOME] })
    expect((await rotate(less.id)).body.allowedAddresses).toEqual([HOME])
  })
})

describe('a key that ends', () => {
  const ending = { expiresAt: END }

  test('makes keys that end with it, or sooner', async () => {
    const { make } = await start(ending)
    expect((await make()).body.expiresAt).toBe(END)
    expect((await make({ expiresAt: '2026-03-10T12:00:00Z' })).body.expiresAt).toBe(END)
    expect((await make({ expiresAt: '2026-03-02T00:00:00Z' })).body.expiresAt).toBe('2026-03-02T00:00:00.000Z')
  })

  test('makes none that outlasts it', async () => {
    const { api, make } = await start(ending)
    const before = await indexed(api)
    const { status, body } = await make({ expiresAt: '2026-03-10T12:00:00.001Z' })
    expect([status, body.code, body.details]).toEqual([403, 'expiry_not_grantable', { latestExpiresAt: END }])
    expect(await indexed(api)).toBe(before)
  })

  test('renews itself by rotation, for as long as it was meant to last', async () => {
    const { made, clock, rotate } = await start(ending)
    clock.pass(24 * 3_600_000)
    const { status, body } = await rotate(made.id)
    const dayLater = new Date(Date.parse(END) + 24 * 3_600_000).toISOString()
    expect([status, body.expiresAt]).toEqual([201, dayLater])
  })

  test('rotates no key of its user that outlasts it, and one that does not into one that does not either', async () => {
    const { api, acme, clock, rotate } = await start(ending)
    for (const more of [{}, { expiresAt: '2026-03-10T12:00:00.001Z' }]) {
      const { body: other } = await acme.post('/auth/api-keys', { name: 'other', scopes: ['read'], ...more })
      const { status, body } = await rotate(other.id)
      expect([status, body.code]).toEqual([403, 'expiry_not_grantable'])
      expect((await api.client(other.key).get('/auth/me')).status).toBe(200)
    }
    const sooner = { name: 's', scopes: ['read'], expiresAt: '2026-03-09T12:00:00Z' } // eight days
    const { body: other } = await acme.post('/auth/api-keys', sooner)
    clock.pass(3 * 24 * 3_600_000)
    expect((await rotate(other.id)).body.expiresAt).toBe(END)
  })

  test('because it has been replaced makes none that outlasts the overlap', async () => {
    const { acme, made, make } = await start({})
    await acme.post(`/auth/api-keys/${made.id}/rotate`, { overlapSeconds: 60 })
    expect((await make()).body.expiresAt).toBe('2026-03-01T12:01:00.000Z')
  })
})

test('a key with the admin scope is bound by neither, for keys of its own and of the tenant', async () => {
  const { acme, make, rotate } = await start({ allowedAddresses: [HOME], expiresAt: END }, [...MEMBER, 'admin'])
  for (const isServiceKey of [false, true]) {
    const { status, body } = await make({ isServiceKey })
    expect([status, body.allowedAddresses, body.expiresAt]).toEqual([201, null, null])
  }
  const wider = { allowedAddresses: ['0.0.0.0/0'], expiresAt: '2030-01-01T00:00:00.000Z' }
  expect((await make(wider)).body).toMatchObject(wider)
  const { body: other } = await acme.post('/auth/api-keys', { name: 'other', scopes: ['read'] })
  expect((await rotate(other.id)).body).toMatchObject({ allowedAddresses: null, expiresAt: null })
})

test('a key that is bound to nothing binds nothing', async () => {
  const { make } = await start({})
  expect((await make()).body).toMatchObject({ allowedAddresses: null, expiresAt: null })
})
