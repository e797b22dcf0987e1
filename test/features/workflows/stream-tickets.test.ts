import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { importSigningKey, newSigningSecret, signText } from '#kit/crypto/signed-text.ts'
import { HeldClock } from '#test/features/http/held-clock.ts'
import { secondUser } from '#test/features/identity/second-user.ts'
import type { Client } from '#test/support/client.ts'
import { allEvents, type StreamedEvent } from '#test/support/events.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { type StartOptions, startApi, type TestApi } from '#test/support/start-api.ts'

const CHAIN = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }, { id: '3', dependencies: ['2'] }])

type Tenant = Client & { tenantId: string; userId: string }

interface Stage {
  api: TestApi
  acme: Tenant
  id: string
  /** Without any key. */
  browser: Client
  ticket: string
}

/** An execution that has ended, and a ticket for it. */
async function stage(options: StartOptions = {}): Promise<Stage> {
  const api = await startApi(options)
  const acme = await api.tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  return { api, acme, id, browser: api.client(null), ticket: await ticketOf(acme, id) }
}

async function ticketOf(client: Client, id: string): Promise<string> {
  const { status, body } = await client.post(`/executions/${id}/stream-ticket`)
  expect(status).toBe(201)
  return body.ticket
}

const follow = (client: Client, id: string, ticket: string, more = '') =>
  client.get(`/executions/${id}/events?ticket=${ticket}${more}`)

const INVALID = { status: 401, body: { code: 'invalid_ticket', details: null } }

test('a ticket opens the events of its execution without a key, as often as wanted', async () => {
  const { acme, id, browser, ticket } = await stage()
  const streamed = await acme.events(id)

  for (let i = 0; i < 3; i += 1) {
    expect(await browser.events(id, undefined, undefined, `?ticket=${ticket}`)).toEqual(streamed)
  }
  expect(await browser.events(id, 3, undefined, `?ticket=${ticket}`)).toEqual(streamed.slice(3))
  expect(await browser.events(id, undefined, undefined, `?after=2&ticket=${ticket}`)).toEqual(streamed.slice(2))
  const { body } = await browser.get(`/executions/${id}/events?ticket=${ticket}`, { accept: 'application/json' })
  expect(body.data).toEqual(streamed.map(({ data }) => data))
})

test('it fits into a URL, and is good for sixty seconds to the millisecond', async () => {
  const clock = new HeldClock()
  const { acme, id, browser } = await stage({ overrides: { now: clock.now } })
  const { body } = await acme.post(`/executions/${id}/stream-ticket`)
  expect(body).toEqual({ ticket: expect.stringMatching(/^[\w.-]{100,1000}$/), expiresAt: '2026-03-01T12:01:00.000Z' })

  clock.pass(59_999)
  expect((await follow(browser, id, body.ticket)).status).toBe(200)
  clock.pass(1)
  expect(await follow(browser, id, body.ticket)).toMatchObject(INVALID)
})

test('a stream that was opened with a ticket outlives it', async () => {
  const clock = new HeldClock()
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const model = await openAiServer(async ({ messages }) => {
    if (messages.join('').includes('do 2')) await held
    return 'ok'
  })
  const api = await startApi({ env: model.env, overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const ticket = await ticketOf(acme, started.id)
  const told = api.client(null).events(started.id, undefined, undefined, `?ticket=${ticket}`)
  await expect.poll(() => model.calls.length).toBe(2)

  clock.pass(10_000) // no lease of 30 s runs out
  clock.pass(51_000)
  goOn()

  expect(await told).toEqual(await acme.events(started.id))
})

test('it works after a restart', async () => {
  const { api, acme, id, ticket } = await stage()
  const streamed = await acme.events(id)
  await api.close()
  const again = await startApi({ dataDir: api.dataDir })
  expect(await again.client(null).events(id, undefined, undefined, `?ticket=${ticket}`)).toEqual(streamed)
})

describe('is nothing', () => {
  test('for another execution, of the same tenant or of another', async () => {
    const { api, acme, id, browser, ticket } = await stage()
    const globex = await api.tenant('globex')
    const [own, theirs] = [await acme.run('Count the words of "d e"'), await globex.run('Count the words of "f"')]
    const answers = await Promise.all([
      follow(browser, own.id, ticket),
      follow(browser, theirs.id, ticket),
      follow(browser, crypto.randomUUID(), ticket),
      follow(browser, id, await ticketOf(globex, theirs.id)),
    ])
    for (const answer of answers) expect(answer).toMatchObject(INVALID)
    expect(new Set(answers.map(({ body }) => body.message)).size).toBe(1)
  })

  test('forged, cut, misspelt, empty, or too long', async () => {
    const { acme, id, browser, ticket } = await stage()
    const claims = JSON.stringify([acme.tenantId, id, crypto.randomUUID(), Date.now() + 60_000])
    const [written = '', signature = ''] = ticket.split('.')
    const expired = JSON.stringify([acme.tenantId, id, crypto.randomUUID(), 0])
    const forgeries = [
      await signText(claims, await importSigningKey(newSigningSecret())),
      await signText(expired, await importSigningKey(newSigningSecret())),
      `${btoa(claims).replaceAll('=', '')}.${signature}`,
      written,
      `${written}.`,
      `.${signature}`,
      `${ticket}A`,
      ticket.slice(0, -1),
      ticket.toUpperCase(),
      '',
      '.',
      acme.key ?? '',
      'x'.repeat(5_000),
      '%00',
      '[]',
    ]
    for (const forged of forgeries) expect(await follow(browser, id, forged), forged).toMatchObject(INVALID)
  })

  test('in place of a key: neither as a bearer nor on another route', async () => {
    const { api, id, browser, ticket } = await stage()
    const bearer = api.client(ticket)
    expect(await bearer.get(`/executions/${id}/events`)).toMatchObject({
      status: 401,
      body: { code: 'invalid_api_key' },
    })
    for (const path of [`/executions/${id}`, `/executions/${id}/details`, '/executions', '/auth/me']) {
      expect(await browser.get(`${path}?ticket=${ticket}`), path).toMatchObject({
        status: 401,
        body: { code: 'unauthenticated' },
      })
    }
    expect(await browser.post(`/executions/${id}/stream-ticket?ticket=${ticket}`)).toMatchObject({
      status: 401,
      body: { code: 'unauthenticated' },
    })
  })

  test('beside a key: the key is what counts', async () => {
    const { api, acme, id, ticket } = await stage()
    const globex = await api.tenant('globex')
    expect((await follow(acme, id, 'nonsense')).status).toBe(200)
    expect((await follow(globex, id, ticket)).status).toBe(404)
    expect(await follow(api.client('garbage'), id, ticket)).toMatchObject({
      status: 401,
      body: { code: 'invalid_api_key' },
    })
  })

  test('for guessing: each wrong one counts against its address', async () => {
    const { id, browser, ticket } = await stage({ env: { RATE_LIMIT_ADDRESS_PER_MINUTE: '5' } })
    for (let i = 0; i < 5; i += 1)
      expect((await follow(browser, id, `${'x'.repeat(60)}.${'y'.repeat(43)}`)).status).toBe(401)
    expect(await follow(browser, id, 'nonsense')).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect((await follow(browser, id, ticket)).status).toBe(200) // a good one is no guess
  })
})

describe('is worth no more than the key that asked for it', () => {
  test('nothing, when that is revoked, replaced, or has expired', async () => {
    const clock = new HeldClock()
    const { api, acme, id, browser } = await stage({ overrides: { now: clock.now } })
    const soon = new Date(clock.now().getTime() + 30_000).toISOString()
    const [revoked, replaced, expiring] = await Promise.all([
      acme.post('/auth/api-keys', { name: 'a', scopes: ['read'] }),
      acme.post('/auth/api-keys', { name: 'b', scopes: ['read'] }),
      acme.post('/auth/api-keys', { name: 'c', scopes: ['read'], expiresAt: soon }),
    ])
    const keys = [revoked, replaced, expiring]
    const tickets = await Promise.all(keys.map(({ body }) => ticketOf(api.client(body.key), id)))
    for (const ticket of tickets) expect((await follow(browser, id, ticket)).status).toBe(200)

    await acme.delete(`/auth/api-keys/${revoked.body.id}`)
    await acme.post(`/auth/api-keys/${replaced.body.id}/rotate`, { overlapSeconds: 0 })
    clock.pass(30_000)

    for (const ticket of tickets) expect(await follow(browser, id, ticket)).toMatchObject(INVALID)
  })

  test('nothing, when its user is removed', async () => {
    const { api, acme, id, browser } = await stage()
    const ada = await secondUser(api, acme, 'member', ['read'])
    const ticket = await ticketOf(ada, id)
    expect((await follow(browser, id, ticket)).status).toBe(200)
    await acme.delete(`/users/${ada.userId}`)
    expect(await follow(browser, id, ticket)).toMatchObject(INVALID)
  })

  test('not for reading, when that may no longer read', async () => {
    const { api, acme, id, browser } = await stage()
    const reader = await acme.post('/auth/api-keys', { name: 'r', scopes: ['read', 'write'] })
    const ticket = await ticketOf(api.client(reader.body.key), id)
    await api.api.stores.homes.use(acme.tenantId, (db) =>
      db.updateTable('api_keys').set({ scopes: '["write"]' }).where('id', '=', reader.body.id).execute(),
    )
    expect(await follow(browser, id, ticket)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_scope', details: { required: 'read', granted: [] } },
    })
  })

  test('and is given to nobody who may not read', async () => {
    const { api, acme, id } = await stage()
    const { body } = await acme.post('/auth/api-keys', { name: 'w', scopes: ['write', 'execute', 'admin'] })
    expect(await api.client(body.key).post(`/executions/${id}/stream-ticket`)).toMatchObject({
      status: 403,
      body: { code: 'insufficient_scope' },
    })
    const globex = await api.tenant('globex')
    for (const [client, execution] of [
      [globex, id],
      [acme, crypto.randomUUID()],
    ] as const) {
      expect(await client.post(`/executions/${execution}/stream-ticket`)).toMatchObject({
        status: 404,
        body: { code: 'execution_not_found' },
      })
    }
  })

  test('only from its allowed addresses', async () => {
    const { api, acme, id, browser } = await stage()
    const allowedAddresses = ['198.51.100.0/24']
    const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'], allowedAddresses })
    const ticket = await ticketOf(api.client(body.key, '198.51.100.7'), id)
    expect((await follow(api.client(null, '198.51.100.8'), id, ticket)).status).toBe(200)
    expect(await follow(browser, id, ticket)).toMatchObject({ status: 403, body: { code: 'address_not_allowed' } })
  })

  test('only while its tenant is active, and there', async () => {
    const { api, acme, id, browser, ticket } = await stage()
    await api.superAdmin.patch(`/admin/tenants/${acme.tenantId}`, { status: 'suspended' })
    expect(await follow(browser, id, ticket)).toMatchObject({ status: 403, body: { code: 'tenant_suspended' } })
    const purged = await api.superAdmin.delete(`/admin/tenants/${acme.tenantId}?purge=true`, {
      'x-confirm-purge': 'acme',
    })
    expect(purged.status).toBe(200)
    expect(await follow(browser, id, ticket)).toMatchObject(INVALID)
  })

  test('and its calls count as that key’s', async () => {
    const { api, acme, id, browser } = await stage({ env: { RATE_LIMIT_API_PER_MINUTE: '20' } })
    const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
    const reader = api.client(body.key)
    const ticket = await ticketOf(reader, id)
    const first = await follow(browser, id, ticket)
    expect(first.headers.get('x-ratelimit-remaining')).toBe('18')
    for (let i = 0; i < 18; i += 1) expect((await follow(browser, id, ticket)).status).toBe(200)
    expect(await follow(browser, id, ticket)).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect((await reader.get('/agents')).status).toBe(429)
    expect((await acme.get('/agents')).status).toBe(200)
  })
})

test('an open stream ends when the key behind its ticket is revoked', async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const model = await openAiServer(async ({ messages }) => {
    if (messages.join('').includes('do 2')) await held
    return 'ok'
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const { body: key } = await acme.post('/auth/api-keys', { name: 'reader', scopes: ['read'] })
  const ticket = await ticketOf(api.client(key.key), started.id)
  const response = await api.client(null).raw(`/api/v2/executions/${started.id}/events?ticket=${ticket}`)
  const told: StreamedEvent[] = []
  const ended = allEvents(response, told)
  await expect.poll(() => told.map(({ event }) => event)).toContain('execution:task_completed')

  await acme.delete(`/auth/api-keys/${key.id}`)
  await sleep(1_100) // for a second a stream may go by what it has read of its key
  goOn()

  const types = (await ended).map(({ event }) => event)
  expect(types).not.toContain('execution:completed')
})

test('tickets of two data folders are not each other’s', async () => {
  const [here, there] = [await stage(), await stage()]
  const { body } = await there.acme.post(`/executions/${there.id}/stream-ticket`)
  const claims = JSON.parse(atob(body.ticket.split('.')[0].replaceAll('-', '+').replaceAll('_', '/')))
  expect(claims.slice(0, 2)).toEqual([there.acme.tenantId, there.id])
  expect(await follow(here.browser, there.id, body.ticket)).toMatchObject(INVALID)
})

test('of many who need the signing key first, all get the same', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { id } = await acme.run('Count the words of "a b c"')
  const tickets = await Promise.all(Array.from({ length: 20 }, () => ticketOf(acme, id)))
  for (const ticket of tickets) expect((await follow(api.client(null), id, ticket)).status).toBe(200)
  const kept = await api.api.stores.control.selectFrom('signing_keys').selectAll().execute()
  expect(kept.map(({ purpose }) => purpose)).toEqual(['stream_ticket'])
})
