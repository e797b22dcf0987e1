import { describe, expect, test } from 'vitest'
import { type Scope, TENANT_SCOPES } from '#kit/context.ts'
import { contracts } from '#src/contracts.ts'
import type { Client } from '#test/support/client.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { callerRoutes, callRoute, controlRoutes, name, publicRoutes, tenantRoutes } from './route-walk.ts'

async function keyWith(api: TestApi, maker: Client, scopes: readonly Scope[]): Promise<Client> {
  const { status, body } = await maker.post('/auth/api-keys', { name: scopes.join(), scopes })
  expect(status).toBe(201)
  return api.client(body.key)
}

test('the walk knows every route', () => {
  const known = [tenantRoutes, controlRoutes, callerRoutes, publicRoutes].flat()
  expect(known.length).toBe(contracts.length)
  expect(contracts.length).toBeGreaterThan(30)
})

test('a key with every scope but the one a route asks for is refused, on every route', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const without = new Map<string, Client>()
  for (const scope of TENANT_SCOPES) {
    const others = TENANT_SCOPES.filter((other) => other !== scope)
    without.set(scope, await keyWith(api, acme, others))
  }
  for (const route of tenantRoutes) {
    const caller = without.get(route.scope) as Client
    const { status, body } = await callRoute(caller, route)
    expect.soft([status, body?.code], name(route)).toEqual([403, 'insufficient_scope'])
    expect.soft(body?.details?.required, name(route)).toBe(route.scope)
  }
})

test('no scope stands for another: a key with one scope enters the routes of that scope and no others', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  for (const scope of TENANT_SCOPES) {
    const caller = await keyWith(api, acme, [scope])
    for (const route of tenantRoutes) {
      const { body } = await callRoute(caller, route)
      const isRefused = body?.code === 'insufficient_scope'
      expect.soft(isRefused, `${name(route)} with ${scope}`).toBe(route.scope !== scope)
    }
  }
})

test('without a key every route but the public ones is closed', async () => {
  const nobody = (await startApi()).client(null)
  for (const route of [...tenantRoutes, ...controlRoutes, ...callerRoutes]) {
    const { status, body } = await callRoute(nobody, route)
    expect.soft([status, body?.code], name(route)).toEqual([401, 'unauthenticated'])
  }
  for (const route of publicRoutes) {
    const isAccepting = route.operationId === 'acceptInvitation' // open to everybody, and of use with a good token only
    const { status } = await callRoute(nobody, route, { file: 'init.js' }, isAccepting ? { token: 'x' } : undefined)
    expect.soft(status, name(route)).toBe(isAccepting ? 404 : 200)
  }
})

test('with garbage for a key every route but the public ones is closed', async () => {
  const stranger = (await startApi()).client('garbage')
  for (const route of [...tenantRoutes, ...controlRoutes, ...callerRoutes]) {
    const { status, body } = await callRoute(stranger, route)
    expect.soft([status, body?.code], name(route)).toEqual([401, 'invalid_api_key'])
  }
})

test('a key of whatever scopes may ask whose it is, and so may the super admin', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  for (const scope of TENANT_SCOPES) {
    const { status, body } = await (await keyWith(api, acme, [scope])).get('/auth/me')
    expect([status, body.scopes, body.tenant.slug]).toEqual([200, [scope], 'acme'])
  }
  const { status, body } = await api.superAdmin.get('/auth/me')
  expect(status).toBe(200)
  expect(body).toMatchObject({
    id: null,
    role: 'admin',
    scopes: ['super_admin'],
    tenant: null,
    apiKey: { name: 'super admin' },
  })
})

test('what is for any good key is for keys of whatever scopes, and for the super admin', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const callers = [api.superAdmin]
  for (const scope of TENANT_SCOPES) callers.push(await keyWith(api, acme, [scope]))
  expect(callerRoutes.map(({ path }) => path)).toEqual(expect.arrayContaining(['/auth/me', '/rate-limit']))
  for (const route of callerRoutes) {
    for (const caller of callers) expect.soft((await callRoute(caller, route)).status, name(route)).toBe(200)
  }
})

test('a super-admin key opens no tenant route', async () => {
  const api = await startApi()
  await api.tenant('acme')
  for (const route of tenantRoutes) {
    const { status, body } = await callRoute(api.superAdmin, route)
    expect.soft([status, body?.code], name(route)).toEqual([403, 'insufficient_scope'])
  }
})

test('a tenant’s key opens no route of the super admin, however mighty it is', async () => {
  const acme = await (await startApi()).tenant('acme')
  expect(controlRoutes.length).toBeGreaterThan(0)
  for (const route of controlRoutes) {
    const { status, body } = await callRoute(acme, route)
    expect.soft([status, body?.code], name(route)).toEqual([403, 'insufficient_scope'])
    expect.soft(body?.details?.required, name(route)).toBe('super_admin')
  }
})

test('calls at the wrong door use up the caller’s address', async () => {
  const api = await startApi({ env: { RATE_LIMIT_ADDRESS_PER_MINUTE: '5' } })
  const acme = await api.tenant('acme')
  for (let i = 0; i < 5; i += 1) expect((await acme.get('/admin/tenants')).status).toBe(403)
  expect((await acme.get('/admin/tenants')).status).toBe(429)
  expect((await acme.get('/agents')).status).toBe(200)
  const elsewhere = api.client(api.superAdmin.key, '198.51.100.7')
  for (let i = 0; i < 5; i += 1) expect((await elsewhere.get('/agents')).status).toBe(403)
  expect((await elsewhere.get('/agents')).status).toBe(429)
})

describe('a key that makes keys', () => {
  test('gives no scope it does not hold', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const writer = await keyWith(api, acme, ['read', 'write'])
    const { status, body } = await writer.post('/auth/api-keys', { name: 'k', scopes: ['read', 'execute', 'admin'] })
    expect([status, body.code, body.details]).toEqual([403, 'scope_not_grantable', { missing: ['execute', 'admin'] }])
    expect((await writer.post('/auth/api-keys', { name: 'k', scopes: ['write'] })).status).toBe(201)
  })

  test('gives nobody the super admin’s scope', async () => {
    const acme = await (await startApi()).tenant('acme')
    const { status } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['super_admin'] })
    expect(status).toBe(400)
  })

  test('gives at least one scope', async () => {
    const acme = await (await startApi()).tenant('acme')
    expect((await acme.post('/auth/api-keys', { name: 'k', scopes: [] })).status).toBe(400)
  })
})

test('a role that shrinks shrinks the keys its user has', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await api.api.stores.homes.use(acme.tenantId, (db) =>
    db.updateTable('users').set({ role: 'viewer' }).where('id', '=', acme.userId).execute(),
  )
  expect((await acme.get('/auth/me')).body).toMatchObject({ role: 'viewer', scopes: ['read'] })
  expect(await acme.post('/agents', {})).toMatchObject({ status: 403, body: { code: 'insufficient_scope' } })
})
