import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'
import { runNode } from '../../platform/children.ts'
import { HeldClock } from '../http/held-clock.ts'
import { secondUser } from './second-user.ts'

const DAY_MS = 24 * 3_600_000

async function start() {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  return { api, acme: await api.tenant('acme'), clock }
}

async function keyOf(maker: Client, more: object = {}) {
  const { status, body } = await maker.post('/auth/api-keys', { name: 'program', scopes: ['read'], ...more })
  expect(status).toBe(201)
  return body
}

const rotate = (caller: Client, id: string, body: object = {}) => caller.post(`/auth/api-keys/${id}/rotate`, body)

async function shown(caller: Client, id: string) {
  const { body } = await caller.get('/auth/api-keys?owner=all')
  return body.data.find((key: { id: string }) => key.id === id)
}

describe('the new key', () => {
  test('has the name, owner, scopes and addresses of the old one, and another secret', async () => {
    const { api, acme } = await start()
    const old = await keyOf(acme, { scopes: ['execute', 'read'], allowedAddresses: ['192.0.2.0/24'] })

    const { status, body } = await rotate(acme, old.id)

    expect(status).toBe(201)
    const { name, scopes, userId, allowedAddresses } = old
    expect(body).toMatchObject({ name, scopes, userId, allowedAddresses, lastUsedAt: null, revokedAt: null })
    expect(body.id).not.toBe(old.id)
    expect(body.keyPrefix).not.toBe(old.keyPrefix)
    const me = await api.client(body.key).get('/auth/me')
    expect(me.body).toMatchObject({ id: acme.userId, scopes: ['execute', 'read'], apiKey: { id: body.id } })
    expect((await api.client(body.key, '198.51.100.7').get('/auth/me')).body.code).toBe('address_not_allowed')
  })

  test('lasts as long as the old one was meant to from its making', async () => {
    const { acme, clock } = await start()
    const old = await keyOf(acme, { expiresAt: '2026-03-31T12:00:00Z' })
    clock.pass(10 * DAY_MS)
    const { body } = await rotate(acme, old.id)
    expect(body).toMatchObject({ createdAt: '2026-03-11T12:00:00.000Z', expiresAt: '2026-04-10T12:00:00.000Z' })
  })

  test('never expires when the old one did not', async () => {
    const { acme } = await start()
    expect((await rotate(acme, (await keyOf(acme)).id)).body.expiresAt).toBeNull()
  })

  test('lasts no longer than the tenant allows by now', async () => {
    const { acme } = await start()
    const [endless, long, short] = [
      await keyOf(acme),
      await keyOf(acme, { expiresAt: '2026-12-31T00:00:00Z' }),
      await keyOf(acme, { expiresAt: '2026-03-02T12:00:00Z' }),
    ]
    await acme.patch('/tenant', { maxApiKeyAgeDays: 30 })
    const ends = []
    for (const { id } of [endless, long, short]) ends.push((await rotate(acme, id)).body.expiresAt)
    expect(ends).toEqual(['2026-03-31T12:00:00.000Z', '2026-03-31T12:00:00.000Z', '2026-03-02T12:00:00.000Z'])
  })

  test('of a key that lasts until the end of time does so too', async () => {
    const { acme, clock } = await start()
    const old = await keyOf(acme, { expiresAt: '9999-12-31T23:59:59Z' })
    clock.pass(DAY_MS)
    expect((await rotate(acme, old.id)).body.expiresAt).toBe('9999-12-31T23:59:59.999Z')
  })

  test('of a bootstrap key ends with the next bootstrap --rotate, as that one would have', async () => {
    const { api, acme } = await start()
    const bootstrapKey = (await acme.get('/auth/me')).body.apiKey
    const { body: successor } = await rotate(acme, bootstrapKey.id)
    const other = await keyOf(api.client(successor.key))

    const args = ['bootstrap', '--tenant', 'acme', '--admin-email', 'admin@acme.test', '--json', '--rotate']
    const { code, stdout } = await runNode(['src/cli.ts', ...args], {
      DESI_DATA_DIR: api.dataDir,
      API_KEY_BCRYPT_COST: '4',
    })

    expect(code).toBe(0)
    expect((await api.client(JSON.parse(stdout).apiKey).get('/auth/me')).status).toBe(200)
    await api.close() // what this process remembers of the key may be a second old
    const again = await startApi({ dataDir: api.dataDir })
    expect((await again.client(successor.key).get('/auth/me')).status).toBe(401)
    expect((await again.client(other.key).get('/auth/me')).status).toBe(200)
  })
})

describe('the old key', () => {
  test('is refused at its next request when no overlap was asked for', async () => {
    const { api, acme } = await start()
    const old = await keyOf(acme)
    const program = api.client(old.key)
    expect((await program.get('/auth/me')).status).toBe(200)
    expect((await rotate(acme, old.id)).status).toBe(201)
    const { status, body } = await program.get('/auth/me')
    expect([status, body.code]).toEqual([401, 'invalid_api_key'])
    expect((await shown(acme, old.id)).revokedAt).toBe('2026-03-01T12:00:00.000Z')
  })

  test('works beside the new one until the overlap is over', async () => {
    const { api, acme, clock } = await start()
    const old = await keyOf(acme)
    const { body } = await rotate(acme, old.id, { overlapSeconds: 3_600 })
    const both = () =>
      Promise.all([old.key, body.key].map(async (key) => (await api.client(key).get('/auth/me')).status))
    expect(await both()).toEqual([200, 200])
    clock.pass(3_600_000 - 1)
    expect(await both()).toEqual([200, 200])
    clock.pass(1)
    expect(await both()).toEqual([401, 200])
    expect(await shown(acme, old.id)).toMatchObject({ expiresAt: '2026-03-01T13:00:00.000Z', revokedAt: null })
  })

  test('gains no time by an overlap that is longer than its life', async () => {
    const { api, acme, clock } = await start()
    const old = await keyOf(acme, { expiresAt: '2026-03-01T12:10:00Z' })
    await rotate(acme, old.id, { overlapSeconds: 3_600 })
    clock.pass(10 * 60_000)
    expect((await api.client(old.key).get('/auth/me')).status).toBe(401)
    expect((await shown(acme, old.id)).expiresAt).toBe('2026-03-01T12:10:00.000Z')
  })

  test('may overlap by a week, not longer', async () => {
    const { acme } = await start()
    const week = 7 * 24 * 3_600
    const old = await keyOf(acme)
    for (const overlapSeconds of [week + 1, -1, 0.5]) {
      expect((await rotate(acme, old.id, { overlapSeconds })).body.code).toBe('validation_failed')
    }
    expect((await rotate(acme, old.id, { overlapSeconds: week })).status).toBe(201)
  })

  test('can be revoked while it overlaps', async () => {
    const { api, acme } = await start()
    const old = await keyOf(acme)
    const { body } = await rotate(acme, old.id, { overlapSeconds: 3_600 })
    expect((await acme.delete(`/auth/api-keys/${old.id}`)).status).toBe(204)
    expect((await api.client(old.key).get('/auth/me')).status).toBe(401)
    expect((await api.client(body.key).get('/auth/me')).status).toBe(200)
  })
})

describe('a key is rotated once', () => {
  test('of 20 rotations at once exactly one succeeds, and the others leave nothing', async () => {
    const { api, acme } = await start()
    const old = await keyOf(acme)
    const countIndexed = async () =>
      (await api.api.stores.control.selectFrom('key_index').select('key_id').execute()).length
    const before = { shown: (await acme.get('/auth/api-keys')).body.data.length, indexed: await countIndexed() }

    const answers = await Promise.all(Array.from({ length: 20 }, () => rotate(acme, old.id, { overlapSeconds: 60 })))

    const [made] = answers.filter(({ status }) => status === 201)
    const refused = answers.filter((answer) => answer !== made)
    expect(refused.map(({ status, body }) => [status, body.code])).toEqual(Array(19).fill([409, 'api_key_ended']))
    expect((await api.client(made?.body.key).get('/auth/me')).status).toBe(200)
    expect((await acme.get('/auth/api-keys')).body.data.length).toBe(before.shown + 1)
    expect(await countIndexed()).toBe(before.indexed + 1)
  })

  test('and not when it is replaced, revoked or expired', async () => {
    const { acme, clock } = await start()
    const [replaced, revoked, expired] = [
      await keyOf(acme),
      await keyOf(acme),
      await keyOf(acme, { expiresAt: '2026-03-01T12:00:10Z' }),
    ]
    await rotate(acme, replaced.id, { overlapSeconds: 3_600 })
    await acme.delete(`/auth/api-keys/${revoked.id}`)
    clock.pass(10_000)
    for (const { id } of [replaced, revoked, expired]) {
      const { status, body } = await rotate(acme, id)
      expect([status, body.code]).toEqual([409, 'api_key_ended'])
    }
  })
})

describe('who may rotate', () => {
  test('a key may rotate itself, with and without an overlap', async () => {
    const { api, acme } = await start()
    let program = await keyOf(acme, { scopes: ['read', 'write'] })
    for (const overlapSeconds of [60, 0]) {
      const { status, body } = await rotate(api.client(program.key), program.id, { overlapSeconds })
      expect(status).toBe(201)
      expect((await api.client(program.key).get('/auth/me')).status).toBe(overlapSeconds > 0 ? 200 : 401)
      program = body
    }
    expect((await api.client(program.key).get('/auth/me')).body.scopes).toEqual(['read', 'write'])
  })

  test('a user rotates own keys; another’s look like keys that never were', async () => {
    const { api, acme } = await start()
    const member = await secondUser(api, acme, 'member', ['read', 'write'])
    const [own, others] = [await keyOf(member), await keyOf(acme)]
    const [foreign, absent] = [await rotate(member, others.id), await rotate(member, crypto.randomUUID())]
    expect([foreign.status, foreign.body.code]).toEqual([404, 'api_key_not_found'])
    expect({ ...foreign.body, requestId: '' }).toEqual({ ...absent.body, requestId: '' })
    expect((await api.client(others.key).get('/auth/me')).status).toBe(200)
    expect((await rotate(member, own.id)).body.userId).toBe(member.userId)
  })

  test('a service key without the admin scope rotates itself; other service keys look like keys that never were', async () => {
    const { api, acme } = await start()
    const [own, others] = [
      await keyOf(acme, { scopes: ['read', 'write'], isServiceKey: true }),
      await keyOf(acme, { isServiceKey: true }),
    ]
    const service = api.client(own.key)
    const [foreign, absent] = [await rotate(service, others.id), await rotate(service, crypto.randomUUID())]
    expect([foreign.status, foreign.body.code]).toEqual([404, 'api_key_not_found'])
    expect({ ...foreign.body, requestId: '' }).toEqual({ ...absent.body, requestId: '' })
    expect((await api.client(others.key).get('/auth/me')).status).toBe(200)
    expect((await rotate(service, own.id)).body.userId).toBeNull()
  })

  test('with the admin scope anybody’s key is rotated, and stays that user’s', async () => {
    const { api, acme } = await start()
    const member = await secondUser(api, acme, 'member', ['read', 'write'])
    const { status, body } = await rotate(acme, member.keyId)
    expect([status, body.userId]).toEqual([201, member.userId])
    expect((await api.client(body.key).get('/auth/me')).body).toMatchObject({ id: member.userId, role: 'member' })
    expect((await member.get('/auth/me')).status).toBe(401)
  })

  test('a rotation gives no scope that the caller lacks, and then leaves the old key as it was', async () => {
    const { api, acme } = await start()
    const mighty = await keyOf(acme, { scopes: ['read', 'execute', 'admin'] })
    const writer = api.client((await keyOf(acme, { scopes: ['write'] })).key)
    const { status, body } = await rotate(writer, mighty.id)
    expect([status, body.code, body.details]).toEqual([
      403,
      'scope_not_grantable',
      { missing: ['read', 'execute', 'admin'] },
    ])
    expect((await api.client(mighty.key).get('/auth/me')).status).toBe(200)
    expect(await shown(acme, mighty.id)).toMatchObject({ expiresAt: null, revokedAt: null })
  })

  test('one tenant cannot rotate another tenant’s key', async () => {
    const { api, acme } = await start()
    const globex = await api.tenant('globex')
    const theirs = await keyOf(globex)
    expect((await rotate(acme, theirs.id)).body.code).toBe('api_key_not_found')
    expect((await api.client(theirs.key).get('/auth/me')).status).toBe(200)
  })
})
