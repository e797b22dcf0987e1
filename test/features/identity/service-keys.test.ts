import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'
import { secondUser } from './second-user.ts'

async function start() {
  const api = await startApi()
  const acme = await api.tenant('acme')
  return { api, acme }
}

const make = (maker: Client, more: object = {}) =>
  maker.post('/auth/api-keys', { name: 'service', scopes: ['read'], isServiceKey: true, ...more })

const names = async (caller: Client, owner?: string) => {
  const { body } = await caller.get(`/auth/api-keys${owner ? `?owner=${owner}` : ''}`)
  return body.data.map(({ name }: { name: string }) => name).toSorted()
}

describe('a service key', () => {
  test('belongs to the tenant and to no user', async () => {
    const { api, acme } = await start()
    const { status, body } = await make(acme, { scopes: ['read', 'write'] })
    expect([status, body.userId]).toEqual([201, null])
    const me = await api.client(body.key).get('/auth/me')
    expect(me.body).toMatchObject({
      id: null,
      email: null,
      name: null,
      role: 'member',
      scopes: ['read', 'write'],
      tenant: { slug: 'acme' },
    })
  })

  test('is for callers with the admin scope to make', async () => {
    const { api, acme } = await start()
    const { body: program } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'write', 'execute'] })
    const { status, body } = await make(api.client(program.key))
    expect([status, body.code]).toEqual([403, 'service_key_forbidden'])
    expect(await names(acme, 'service')).toEqual([])
  })

  test('gets no scope its maker lacks', async () => {
    const { api, acme } = await start()
    const { body: program } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['write', 'admin'] })
    const { status, body } = await make(api.client(program.key), { scopes: ['write', 'execute'] })
    expect([status, body.code, body.details]).toEqual([403, 'scope_not_grantable', { missing: ['execute'] }])
  })

  test('goes on working when its maker is removed, whose own keys do not', async () => {
    const { api, acme } = await start()
    const { body: service } = await make(acme)
    const { body: own } = await acme.post('/auth/api-keys', { name: 'own', scopes: ['read'] })
    const statuses = () =>
      Promise.all([service.key, own.key].map(async (key) => (await api.client(key).get('/auth/me')).status))
    expect(await statuses()).toEqual([200, 200])
    await api.api.stores.homes.use(acme.tenantId, (db) =>
      db.updateTable('users').set({ status: 'removed' }).where('id', '=', acme.userId).execute(),
    )
    expect(await statuses()).toEqual([200, 401])
  })

  test('makes service keys, if it holds the admin scope', async () => {
    const { api, acme } = await start()
    const [admin, writer] = [
      await make(acme, { scopes: ['read', 'write', 'admin'] }),
      await make(acme, { scopes: ['read', 'write'] }),
    ]
    const made = await api.client(admin.body.key).post('/auth/api-keys', { name: 'k', scopes: ['read'] })
    expect([made.status, made.body.userId]).toEqual([201, null])
    const refused = await api.client(writer.body.key).post('/auth/api-keys', { name: 'k', scopes: ['read'] })
    expect([refused.status, refused.body.code]).toEqual([403, 'service_key_forbidden'])
  })

  test('is rotated into a service key, by an admin or by itself', async () => {
    const { api, acme } = await start()
    const { body: service } = await make(acme, { scopes: ['read', 'write'] })
    const byAdmin = await acme.post(`/auth/api-keys/${service.id}/rotate`, {})
    expect([byAdmin.status, byAdmin.body.userId]).toEqual([201, null])
    const byItself = await api.client(byAdmin.body.key).post(`/auth/api-keys/${byAdmin.body.id}/rotate`, {})
    expect([byItself.status, byItself.body.userId]).toEqual([201, null])
    expect((await api.client(byItself.body.key).get('/auth/me')).body.scopes).toEqual(['read', 'write'])
  })

  test('is out of reach for a user without the admin scope', async () => {
    const { api, acme } = await start()
    const { body: service } = await make(acme)
    const member = await secondUser(api, acme, 'member', ['read', 'write'])
    expect((await member.post(`/auth/api-keys/${service.id}/rotate`, {})).status).toBe(404)
    expect((await member.delete(`/auth/api-keys/${service.id}`)).status).toBe(404)
    expect((await api.client(service.key).get('/auth/me')).status).toBe(200)
  })

  test('is out of reach for another without the admin scope, which has only itself', async () => {
    const { api, acme } = await start()
    const { body: service } = await make(acme, { name: 'mighty', scopes: ['read', 'write', 'admin'] })
    const { body: other } = await make(acme, { name: 'other', scopes: ['read', 'write'] })
    const caller = api.client(other.key)
    expect(await names(caller)).toEqual(['other'])
    expect(await names(caller, 'me')).toEqual(['other'])
    const [foreign, absent] = [
      await caller.delete(`/auth/api-keys/${service.id}`),
      await caller.delete(`/auth/api-keys/${crypto.randomUUID()}`),
    ]
    expect([foreign.status, foreign.body.code]).toEqual([404, 'api_key_not_found'])
    expect({ ...foreign.body, requestId: '' }).toEqual({ ...absent.body, requestId: '' })
    expect((await api.client(service.key).get('/auth/me')).status).toBe(200)

    expect((await caller.delete(`/auth/api-keys/${other.id}`)).status).toBe(204)
    expect((await caller.get('/auth/me')).status).toBe(401)
  })

  test('with the admin scope reaches every key of the tenant', async () => {
    const { api, acme } = await start()
    const { body: service } = await make(acme, { name: 'mighty', scopes: ['read', 'write', 'admin'] })
    const { body: other } = await make(acme, { name: 'other' })
    const { body: own } = await acme.post('/auth/api-keys', { name: 'own', scopes: ['read'] })
    const caller = api.client(service.key)
    expect(await names(caller, 'me')).toEqual(['mighty', 'other'])
    expect(await names(caller, 'all')).toEqual(['bootstrap', 'mighty', 'other', 'own'])
    expect((await caller.post(`/auth/api-keys/${other.id}/rotate`, {})).status).toBe(201)
    expect((await caller.delete(`/auth/api-keys/${own.id}`)).status).toBe(204)
  })

  test('of one tenant leads into no other', async () => {
    const { api, acme } = await start()
    const globex = await api.tenant('globex')
    const { body: service } = await make(acme, { scopes: ['read', 'write', 'admin'] })
    expect((await api.client(service.key).get('/auth/me')).body.tenant.id).toBe(acme.tenantId)
    expect(await names(globex, 'all')).toEqual(['bootstrap'])
    expect((await globex.delete(`/auth/api-keys/${service.id}`)).status).toBe(404)
  })
})

describe('the list of keys', () => {
  async function manyKeys() {
    const { api, acme } = await start()
    const member = await secondUser(api, acme, 'member', ['read', 'write'])
    const { body: service } = await make(acme, { scopes: ['read', 'write'] })
    return { acme, member, service: api.client(service.key) }
  }

  test('shows one’s own when nothing else is asked for', async () => {
    const { acme, member, service } = await manyKeys()
    for (const owner of [undefined, 'me']) {
      expect(await names(acme, owner)).toEqual(['bootstrap'])
      expect(await names(member, owner)).toEqual(['key of a member'])
      expect(await names(service, owner)).toEqual(['service'])
    }
  })

  test('shows the tenant’s or everybody’s to the admin scope, a page at a time', async () => {
    const { acme } = await manyKeys()
    expect(await names(acme, 'service')).toEqual(['service'])
    expect(await names(acme, 'all')).toEqual(['bootstrap', 'key of a member', 'service'])
    const first = (await acme.get('/auth/api-keys?owner=all&limit=2&includeTotal=true')).body
    expect(first.pagination).toMatchObject({ total: 3, hasMore: true })
    const rest = (await acme.get(`/auth/api-keys?owner=all&limit=2&cursor=${first.pagination.nextCursor}`)).body
    const listed = [...first.data, ...rest.data].map(({ name }) => name)
    expect(listed).toEqual(['service', 'key of a member', 'bootstrap'])
  })

  test('shows neither to anybody else', async () => {
    const { member, service } = await manyKeys()
    for (const caller of [member, service]) {
      for (const owner of ['service', 'all']) {
        const { status, body } = await caller.get(`/auth/api-keys?owner=${owner}`)
        expect([status, body.code]).toEqual([403, 'service_key_forbidden'])
      }
    }
  })
})
