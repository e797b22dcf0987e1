import { expect, test } from 'vitest'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

test('a caller learns who it is and what it may do', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { status, body } = await acme.get('/auth/me')
  expect(status).toBe(200)
  expect(body).toEqual({
    id: acme.userId,
    email: 'admin@acme.test',
    name: 'admin@acme.test',
    role: 'admin',
    scopes: ['read', 'write', 'execute', 'admin'],
    tenant: { id: acme.tenantId, name: 'acme', slug: 'acme', plan: 'enterprise' },
    apiKey: {
      id: expect.any(String),
      name: 'bootstrap',
      keyPrefix: acme.key?.slice(0, 25),
      scopes: ['read', 'write', 'execute', 'admin'],
      expiresAt: null,
    },
  })
})

test('a revoked key is refused at its next request', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  const program = api.client(made.key)
  expect((await program.get('/auth/me')).status).toBe(200)
  expect((await acme.delete(`/auth/api-keys/${made.id}`)).status).toBe(204)
  const { status, body } = await program.get('/auth/me')
  expect([status, body.code]).toEqual([401, 'invalid_api_key'])
})

test('a key may revoke itself, and revoking twice answers the same', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['write'] })
  const program = api.client(made.key)
  expect((await program.delete(`/auth/api-keys/${made.id}`)).status).toBe(204)
  expect((await program.delete(`/auth/api-keys/${made.id}`)).status).toBe(401)
  expect((await acme.delete(`/auth/api-keys/${made.id}`)).status).toBe(204)
})

test('the moment of revocation is the first one', async () => {
  const clock = new HeldClock()
  const acme = await (await startApi({ overrides: { now: clock.now } })).tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  await acme.delete(`/auth/api-keys/${made.id}`)
  clock.pass(5_000)
  await acme.delete(`/auth/api-keys/${made.id}`)
  const { body } = await acme.get('/auth/api-keys')
  const [shown] = body.data.filter(({ id }: { id: string }) => id === made.id)
  expect(shown.revokedAt).toBe('2026-03-01T12:00:00.000Z')
})

test('an expired key is refused from the moment it expires', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', {
    name: 'k',
    scopes: ['read'],
    expiresAt: '2026-03-01T12:00:10Z',
  })
  const program = api.client(made.key)
  clock.pass(9_999)
  expect((await program.get('/auth/me')).status).toBe(200)
  clock.pass(1)
  expect((await program.get('/auth/me')).status).toBe(401)
})

test('the keys of a removed user are refused at the next request', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  expect((await acme.get('/auth/me')).status).toBe(200)
  await api.api.stores.homes.use(acme.tenantId, (db) => db.updateTable('users').set({ status: 'removed' }).execute())
  const { status, body } = await acme.get('/auth/me')
  expect([status, body.code]).toEqual([401, 'invalid_api_key'])
})

test('the keys of a suspended tenant are refused at the next request', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await api.api.stores.homes.use(acme.tenantId, (db) => db.updateTable('tenant').set({ status: 'suspended' }).execute())
  const { status, body } = await acme.get('/auth/me')
  expect([status, body.code]).toEqual([403, 'tenant_suspended'])
})

test('a restart forgets no key and revives none', async () => {
  const first = await startApi()
  const acme = await first.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  await acme.delete(`/auth/api-keys/${made.id}`)
  await first.close()
  const second = await startApi({ dataDir: first.dataDir })
  expect((await second.client(acme.key).get('/auth/me')).status).toBe(200)
  expect((await second.client(made.key).get('/auth/me')).status).toBe(401)
})

test('lists show the beginning of a key and when it was used, never the key or its hash', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { body: used } = await acme.post('/auth/api-keys', { name: 'used', scopes: ['read'] })
  const { body: unused } = await acme.post('/auth/api-keys', { name: 'unused', scopes: ['read', 'write'] })
  clock.pass(120_000)
  await api.client(used.key).get('/auth/me')

  const { body } = await acme.get('/auth/api-keys')

  const shown = Object.fromEntries(body.data.map((key: { name: string }) => [key.name, key]))
  expect(shown.used).toEqual({
    id: used.id,
    name: 'used',
    keyPrefix: used.key.slice(0, 25),
    scopes: ['read'],
    userId: acme.userId,
    allowedAddresses: null,
    expiresAt: null,
    lastUsedAt: '2026-03-01T12:02:00.000Z',
    revokedAt: null,
    createdAt: '2026-03-01T12:00:00.000Z',
  })
  expect(shown.unused.lastUsedAt).toBeNull()
  expect(shown.bootstrap.lastUsedAt).toBe('2026-03-01T12:02:00.000Z')
  const text = JSON.stringify(body)
  for (const { key } of [used, unused, acme]) expect(text).not.toContain(key?.slice(25))
  expect(text).not.toContain('$2')
})

test('the last use is exact to the minute', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const lastUse = async () => (await acme.get('/auth/api-keys')).body.data[0].lastUsedAt
  expect(await lastUse()).toBe('2026-03-01T12:00:00.000Z')
  clock.pass(59_999)
  expect(await lastUse()).toBe('2026-03-01T12:00:00.000Z')
  clock.pass(1)
  expect(await lastUse()).toBe('2026-03-01T12:01:00.000Z')
})

test('the answer that makes a key is the only one that shows it', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'read'] })
  expect(made).toMatchObject({ name: 'k', scopes: ['read'], userId: acme.userId, lastUsedAt: null, revokedAt: null })
  const me = await api.client(made.key).get('/auth/me')
  expect(me.body.apiKey).toEqual({
    id: made.id,
    name: 'k',
    keyPrefix: made.keyPrefix,
    scopes: ['read'],
    expiresAt: null,
  })
  expect(JSON.stringify(me.body)).not.toContain(made.key.slice(25))
})

test('no key is written to disk', async () => {
  const { readFileSync, readdirSync } = await import('node:fs')
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
  await api.client(made.key).get('/auth/me')
  await api.close()
  const files = readdirSync(api.dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  expect(files.length).toBeGreaterThanOrEqual(2)
  for (const { parentPath, name } of files) {
    const bytes = readFileSync(`${parentPath}/${name}`, 'latin1')
    for (const { key } of [made, acme, api.superAdmin]) expect(bytes).not.toContain(key?.slice(-38))
  }
})
