import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'
import { join } from './joining.ts'

const UNKNOWN = '00000000-0000-4000-8000-000000000000'

async function emails(client: Client, query = ''): Promise<string[]> {
  const { status, body } = await client.get(`/users${query}`)
  expect(status).toBe(200)
  return body.data.map(({ email }: { email: string }) => email)
}

async function outcome(answer: Promise<{ status: number; body: { code?: string } | null }>): Promise<unknown[]> {
  const { status, body } = await answer
  return body?.code === undefined ? [status] : [status, body.code]
}

describe('users are listed', () => {
  test('newest first, by page and with a total', async () => {
    const clock = new HeldClock()
    const acme = await (await startApi({ overrides: { now: clock.now } })).tenant('acme')
    for (const name of ['a', 'b', 'c']) {
      clock.pass(1)
      await acme.post('/users/invite', { email: `${name}@x.test` })
    }
    const { body: first } = await acme.get('/users?limit=2&includeTotal=true')
    expect(first.data.map(({ email }: { email: string }) => email)).toEqual(['c@x.test', 'b@x.test'])
    expect(first.pagination).toMatchObject({ hasMore: true, total: 4 })
    expect(await emails(acme, `?limit=2&cursor=${first.pagination.nextCursor}`)).toEqual([
      'a@x.test',
      'admin@acme.test',
    ])
  })

  test('with all there is to know of them, and no more', async () => {
    const clock = new HeldClock()
    const acme = await (await startApi({ overrides: { now: clock.now } })).tenant('acme')
    const { body } = await acme.get('/users')
    expect(body.data).toEqual([
      {
        id: acme.userId,
        email: 'admin@acme.test',
        name: 'admin@acme.test',
        role: 'admin',
        status: 'active',
        createdAt: '2026-03-01T12:00:00.000Z',
        updatedAt: '2026-03-01T12:00:00.000Z',
        lastLoginAt: null,
      },
    ])
  })

  test('by role, status, words and time; removed ones only when they are asked for', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    clock.pass(60_000)
    await join(api, acme, 'ada@x.test', 'member', 'Ada Lovelace')
    clock.pass(60_000)
    await acme.post('/users/invite', { email: 'grace@y.test', name: 'Grace Hopper', role: 'viewer' })
    const { userId } = await join(api, acme, 'gone@x.test', 'viewer', 'Ada Gone')
    await acme.delete(`/users/${userId}`)

    expect(await emails(acme)).toEqual(['grace@y.test', 'ada@x.test', 'admin@acme.test'])
    expect(await emails(acme, '?status=removed')).toEqual(['gone@x.test'])
    expect(await emails(acme, '?status=invited')).toEqual(['grace@y.test'])
    expect(await emails(acme, '?status=active')).toEqual(['ada@x.test', 'admin@acme.test'])
    expect(await emails(acme, '?role=viewer')).toEqual(['grace@y.test'])
    expect(await emails(acme, '?role=viewer&status=removed')).toEqual(['gone@x.test'])
    expect(await emails(acme, '?search=lovel%20ADA')).toEqual(['ada@x.test'])
    expect(await emails(acme, '?search=ada')).toEqual(['ada@x.test'])
    expect(await emails(acme, '?search=ada&status=removed')).toEqual(['gone@x.test'])
    expect(await emails(acme, '?search=acme')).toEqual(['admin@acme.test'])
    expect(await emails(acme, '?createdFrom=2026-03-01T12:01:00Z&createdBefore=2026-03-01T12:02:00Z')).toEqual([
      'ada@x.test',
    ])
    expect(await outcome(acme.get('/users?role=owner'))).toEqual([400, 'validation_failed'])
  })
})

describe('the own user', () => {
  test('can be read and renamed by whoever the key belongs to', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const ada = await join(api, acme, 'ada@x.test')
    expect((await ada.client.get('/users/me')).body).toMatchObject({ id: ada.userId, email: 'ada@x.test' })

    const { status, body } = await ada.client.patch('/users/me', { name: 'Countess' })
    expect([status, body.name, body.role]).toEqual([200, 'Countess', 'member'])
    expect((await acme.get(`/users/${ada.userId}`)).body.name).toBe('Countess')
    expect(await emails(acme, '?search=countess')).toEqual(['ada@x.test'])
    expect((await acme.get('/users/me')).body.name).toBe('admin@acme.test')
  })

  test('cannot give itself a role', async () => {
    const api = await startApi()
    const ada = await join(api, await api.tenant('acme'), 'ada@x.test')
    expect(await outcome(ada.client.patch('/users/me', { name: 'Ada', role: 'admin' }))).toEqual([
      400,
      'validation_failed',
    ])
  })

  test('is nobody for a service key', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { body } = await acme.post('/auth/api-keys', { name: 's', scopes: ['read', 'write'], isServiceKey: true })
    const service = api.client(body.key)
    expect(await outcome(service.get('/users/me'))).toEqual([404, 'user_not_found'])
    expect(await outcome(service.patch('/users/me', { name: 'x' }))).toEqual([404, 'user_not_found'])
  })
})

test('members and viewers neither see nor change the users of their tenant', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  for (const role of ['member', 'viewer']) {
    const { client, userId } = await join(api, acme, `${role}@x.test`, role)
    const refused = [403, 'insufficient_scope']
    expect(await outcome(client.get('/users'))).toEqual(refused)
    expect(await outcome(client.get(`/users/${userId}`))).toEqual(refused)
    expect(await outcome(client.patch(`/users/${userId}`, { role: 'admin' }))).toEqual(refused)
    expect(await outcome(client.delete(`/users/${acme.userId}`))).toEqual(refused)
    expect(await outcome(client.post('/users/invite', { email: 'e@x.test' }))).toEqual(refused)
    expect(await outcome(client.get('/users/me'))).toEqual([200])
  }
})

test('a user who never was is not found', async () => {
  const acme = await (await startApi()).tenant('acme')
  expect(await outcome(acme.get(`/users/${UNKNOWN}`))).toEqual([404, 'user_not_found'])
  expect(await outcome(acme.patch(`/users/${UNKNOWN}`, { name: 'x' }))).toEqual([404, 'user_not_found'])
  expect(await outcome(acme.delete(`/users/${UNKNOWN}`))).toEqual([404, 'user_not_found'])
})

test('a change keeps what is left out, and one that changes nothing keeps its moment', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { userId } = await join(api, acme, 'ada@x.test', 'member', 'Ada')
  clock.pass(1_000)
  const { body: same } = await acme.patch(`/users/${userId}`, { name: 'Ada', role: 'member', status: 'active' })
  expect(same.updatedAt).toBe('2026-03-01T12:00:00.000Z')
  const { body: renamed } = await acme.patch(`/users/${userId}`, { name: 'Augusta' })
  expect(renamed).toMatchObject({ name: 'Augusta', role: 'member', updatedAt: '2026-03-01T12:00:01.000Z' })
  expect(await emails(acme, '?search=augusta')).toEqual(['ada@x.test'])
  expect(await emails(acme, '?search=ada%20x')).toEqual(['ada@x.test']) // its address
})

test('a new role counts at the next request of the keys there are', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const ada = await join(api, acme, 'ada@x.test', 'member')
  expect(await outcome(ada.client.patch('/users/me', { name: 'x' }))).toEqual([200])

  await acme.patch(`/users/${ada.userId}`, { role: 'viewer' })
  expect(await outcome(ada.client.patch('/users/me', { name: 'y' }))).toEqual([403, 'insufficient_scope'])
  expect((await ada.client.get('/auth/me')).body).toMatchObject({ role: 'viewer', scopes: ['read'] })

  await acme.patch(`/users/${ada.userId}`, { role: 'admin' })
  // The first key was given what a member may do; a role bounds keys and adds nothing to them.
  expect((await ada.client.get('/auth/me')).body).toMatchObject({ role: 'admin', scopes: ['read', 'write', 'execute'] })
})

describe('a removed user', () => {
  test('is shut out at the next request, with every key', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const ada = await join(api, acme, 'ada@x.test')
    const { body: second } = await ada.client.post('/auth/api-keys', { name: 'second', scopes: ['read'] })
    expect(await outcome(api.client(second.key).get('/auth/me'))).toEqual([200])

    expect(await outcome(acme.delete(`/users/${ada.userId}`))).toEqual([204])

    expect(await outcome(ada.client.get('/auth/me'))).toEqual([401, 'invalid_api_key'])
    expect(await outcome(api.client(second.key).get('/auth/me'))).toEqual([401, 'invalid_api_key'])
    expect(await outcome(acme.get('/auth/me'))).toEqual([200])
    expect((await acme.get(`/users/${ada.userId}`)).body.status).toBe('removed')
    const { body } = await acme.get('/auth/api-keys?owner=all')
    const theirs = body.data.filter(({ userId }: { userId: string }) => userId === ada.userId)
    expect(theirs.map(({ revokedAt }: { revokedAt: string | null }) => revokedAt === null)).toEqual([false, false])
  })

  test('can be removed again, which answers the same and changes nothing', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const { userId } = await join(api, acme, 'ada@x.test')
    await acme.delete(`/users/${userId}`)
    const { body: before } = await acme.get(`/users/${userId}`)
    clock.pass(1_000)
    expect(await outcome(acme.delete(`/users/${userId}`))).toEqual([204])
    expect((await acme.get(`/users/${userId}`)).body).toEqual(before)
  })

  test('is the same whether by DELETE or by its status', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const ada = await join(api, acme, 'ada@x.test')
    const { status, body } = await acme.patch(`/users/${ada.userId}`, { status: 'removed' })
    expect([status, body.status]).toEqual([200, 'removed'])
    expect(await outcome(ada.client.get('/auth/me'))).toEqual([401, 'invalid_api_key'])
  })

  test('comes back without keys', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const ada = await join(api, acme, 'ada@x.test')
    await acme.delete(`/users/${ada.userId}`)
    const { status, body } = await acme.patch(`/users/${ada.userId}`, { status: 'active' })
    expect([status, body.status, body.role]).toEqual([200, 'active', 'member'])
    expect(await outcome(ada.client.get('/auth/me'))).toEqual([401, 'invalid_api_key'])
  })

  test('comes back without the key either that was being made when the user was removed', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const ada = await join(api, acme, 'ada@x.test')
    await acme.delete(`/users/${ada.userId}`)
    await api.api.stores.homes.use(acme.tenantId, (db) =>
      db.updateTable('api_keys').set({ revoked_at: null }).where('user_id', '=', ada.userId).execute(),
    )
    await acme.patch(`/users/${ada.userId}`, { status: 'active' })
    expect(await outcome(ada.client.get('/auth/me'))).toEqual([401, 'invalid_api_key'])
  })

  test('does not come back while somebody else has the address', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const first = await join(api, acme, 'ada@x.test')
    await acme.delete(`/users/${first.userId}`)
    const second = await join(api, acme, 'ada@x.test')
    expect(second.userId).not.toBe(first.userId)
    const { status, body } = await acme.patch(`/users/${first.userId}`, { status: 'active' })
    expect([status, body.code, body.details]).toEqual([409, 'user_exists', { email: 'ada@x.test' }])
  })

  test('comes back only where there is room', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxUsers: 2 } })
    const ada = await join(api, acme, 'ada@x.test')
    await acme.delete(`/users/${ada.userId}`)
    const bob = await join(api, acme, 'bob@x.test')
    const { status, body } = await acme.patch(`/users/${ada.userId}`, { status: 'active' })
    expect([status, body.code, body.details]).toEqual([403, 'quota_exceeded', { quota: 'maxUsers', limit: 2, used: 2 }])
    await acme.delete(`/users/${bob.userId}`)
    expect(await outcome(acme.patch(`/users/${ada.userId}`, { status: 'active' }))).toEqual([200])
  })
})

test('an invited user becomes active by accepting, not by being set', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { body: invited } = await acme.post('/users/invite', { email: 'ada@x.test' })
  const { status, body } = await acme.patch(`/users/${invited.user.id}`, { status: 'active' })
  expect([status, body.code, body.details]).toEqual([409, 'user_status_conflict', { status: 'invited' }])
})

test('who never came in is not taken back, but invited again', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { body: invited } = await acme.post('/users/invite', { email: 'ada@x.test' })
  await acme.delete(`/users/${invited.user.id}`)
  const { status, body } = await acme.patch(`/users/${invited.user.id}`, { status: 'active' })
  expect([status, body.code, body.details]).toEqual([409, 'user_status_conflict', { status: 'removed' }])
  expect((await acme.post('/users/invite', { email: 'ada@x.test' })).status).toBe(201)
})

test('who was taken back, or lost every key, comes in again by invitation as who they are', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const ada = await join(api, acme, 'ada@x.test', 'viewer', 'Ada')
  await acme.delete(`/users/${ada.userId}`)
  await acme.patch(`/users/${ada.userId}`, { status: 'active' })

  const again = await join(api, acme, 'ada@x.test', 'admin', 'Somebody')

  expect(again.userId).toBe(ada.userId)
  expect((await again.client.get('/auth/me')).body).toMatchObject({ id: ada.userId, name: 'Ada', role: 'viewer' })
  expect(await outcome(ada.client.get('/auth/me'))).toEqual([401, 'invalid_api_key'])
  expect((await acme.post('/users/invite', { email: 'ada@x.test' })).body.code).toBe('user_exists')
})

describe('the last active admin', () => {
  test('can be neither removed nor made anything less', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    await join(api, acme, 'member@x.test', 'member')
    await acme.post('/users/invite', { email: 'invited@x.test', role: 'admin' })
    const gone = await join(api, acme, 'gone@x.test', 'admin')
    await acme.delete(`/users/${gone.userId}`)

    const last = [409, 'last_admin']
    expect(await outcome(acme.delete(`/users/${acme.userId}`))).toEqual(last)
    expect(await outcome(acme.patch(`/users/${acme.userId}`, { status: 'removed' }))).toEqual(last)
    expect(await outcome(acme.patch(`/users/${acme.userId}`, { role: 'member' }))).toEqual(last)
    expect(await outcome(acme.patch(`/users/${acme.userId}`, { role: 'viewer', name: 'x' }))).toEqual(last)
    expect((await acme.get('/users/me')).body).toMatchObject({
      name: 'admin@acme.test',
      role: 'admin',
      status: 'active',
    })
    expect(await outcome(acme.patch(`/users/${acme.userId}`, { name: 'Chief', role: 'admin' }))).toEqual([200])
  })

  test('may go once somebody else is one', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const ada = await join(api, acme, 'ada@x.test', 'admin')
    expect(await outcome(ada.client.delete(`/users/${acme.userId}`))).toEqual([204])
    expect(await outcome(acme.get('/users'))).toEqual([401, 'invalid_api_key'])
    expect(await outcome(ada.client.delete(`/users/${ada.userId}`))).toEqual([409, 'last_admin'])
  })

  const GOING = {
    demoted: (client: Client, id: string) => client.patch(`/users/${id}`, { role: 'member' }),
    removed: (client: Client, id: string) => client.delete(`/users/${id}`),
  }
  test.each([
    ['demoted', 'demoted'],
    ['removed', 'removed'],
    ['demoted', 'removed'],
  ] as const)('stays when two are %s and %s at the same moment: exactly one of them goes', async (one, other) => {
    const api = await startApi()
    for (let round = 0; round < 5; round += 1) {
      const acme = await api.tenant(`acme-${round}`)
      const ada = await join(api, acme, 'ada@x.test', 'admin')
      await Promise.all([acme.get('/users/me'), ada.client.get('/users/me')]) // both keys are known to the process

      const answers = await Promise.all([
        outcome(GOING[one](acme, ada.userId)),
        outcome(GOING[other](ada.client, acme.userId)),
      ])

      expect(answers.filter(([status]) => status === 409)).toEqual([[409, 'last_admin']])
      expect(answers.filter(([status]) => status === 200 || status === 204).length).toBe(1)
      const admins = await api.api.stores.homes.use(acme.tenantId, (db) =>
        db.selectFrom('users').select('id').where('role', '=', 'admin').where('status', '=', 'active').execute(),
      )
      expect(admins.length).toBe(1)
    }
  })
})

test('one tenant cannot reach another tenant’s users', async () => {
  const api = await startApi()
  const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
  const [a, g] = [await join(api, acme, 'ada@x.test', 'viewer'), await join(api, globex, 'ada@x.test', 'admin')]
  expect(a.userId).not.toBe(g.userId)
  for (const answer of [
    await globex.get(`/users/${a.userId}`),
    await globex.patch(`/users/${a.userId}`, { role: 'admin' }),
    await globex.delete(`/users/${a.userId}`),
  ]) {
    expect([answer.status, answer.body.code]).toEqual([404, 'user_not_found'])
  }
  expect(await emails(globex)).toEqual(['ada@x.test', 'admin@globex.test'])
  expect((await a.client.get('/users/me')).body).toMatchObject({ id: a.userId, role: 'viewer', status: 'active' })
  await globex.delete(`/users/${g.userId}`)
  expect(await outcome(a.client.get('/users/me'))).toEqual([200])
})
