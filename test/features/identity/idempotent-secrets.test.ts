import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

const TEN_MINUTES_MS = 10 * 60_000
const KEY = { 'idempotency-key': 'k-1' }
const PROGRAM = { name: 'program', scopes: ['read'] }

const isReplay = ({ headers }: { headers: Headers }) => headers.get('idempotent-replayed') === 'true'

/** The two calls whose answer shows a secret; each makes a key under the same Idempotency-Key every time. */
const CALLS = [
  { title: 'creating a key', prepare: async () => '/auth/api-keys', body: PROGRAM },
  {
    title: 'rotating a key',
    prepare: async (acme: Client) => {
      const { body } = await acme.post('/auth/api-keys', PROGRAM)
      return `/auth/api-keys/${body.id}/rotate`
    },
    body: { overlapSeconds: 60 },
  },
]

describe.each(CALLS)('$title', ({ prepare, body }) => {
  async function start() {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    return { api, acme, clock, path: await prepare(acme) }
  }
  const count = async (acme: Client) => (await acme.get('/auth/api-keys?owner=all')).body.data.length

  test('a repeat shows the same key with its secret again, and makes nothing', async () => {
    const { api, acme, path } = await start()
    const first = await acme.post(path, body, KEY)
    const before = await count(acme)
    const again = await acme.post(path, body, KEY)
    expect([first.status, again.status]).toEqual([201, 201])
    expect([isReplay(first), isReplay(again)]).toEqual([false, true])
    expect(again.body).toEqual(first.body)
    expect((await api.client(again.body.key).get('/auth/me')).status).toBe(200)
    expect(await count(acme)).toBe(before)
  })

  test('the secret is shown for ten minutes, then never again', async () => {
    const { api, acme, clock, path } = await start()
    const first = await acme.post(path, body, KEY)
    clock.pass(TEN_MINUTES_MS - 1)
    expect((await acme.post(path, body, KEY)).body.key).toBe(first.body.key)
    clock.pass(1)
    const before = await count(acme)
    const late = await acme.post(path, body, KEY)
    expect([late.status, late.body.code]).toEqual([409, 'secret_no_longer_available'])
    expect(JSON.stringify(late.body)).not.toContain(first.body.key.slice(25))
    expect(await count(acme)).toBe(before)
    expect((await api.client(first.body.key).get('/auth/me')).status).toBe(200)
  })

  test('nobody but the caller gets it, not even the same user with another key', async () => {
    const { api, acme, path } = await start()
    const { body: other } = await acme.post('/auth/api-keys', { name: 'other', scopes: ['read', 'write', 'admin'] })
    const first = await acme.post(path, body, KEY)
    const before = await count(acme)
    const stranger = await api.client(other.key).post(path, body, KEY)
    expect([stranger.status, stranger.body.code]).toEqual([409, 'secret_no_longer_available'])
    expect(JSON.stringify(stranger.body)).not.toContain(first.body.key.slice(25))
    expect(await count(acme)).toBe(before)
    expect((await acme.post(path, body, KEY)).body.key).toBe(first.body.key)
  })

  test('of 20 at once with one key exactly one makes a key', async () => {
    const { acme, path } = await start()
    const before = await count(acme)
    const answers = await Promise.all(Array.from({ length: 20 }, () => acme.post(path, body, KEY)))
    const made = answers.filter(({ status }) => status === 201)
    expect(made.filter((answer) => !isReplay(answer)).length).toBe(1)
    expect(new Set(made.map((answer) => answer.body.key)).size).toBe(1)
    for (const answer of answers.filter(({ status }) => status !== 201)) {
      expect([answer.status, answer.body.code]).toEqual([409, 'idempotency_in_progress'])
    }
    expect(await count(acme)).toBe(before + 1)
  })

  test('a call that was refused frees its Idempotency-Key', async () => {
    const { api, acme, path } = await start()
    const { body: writer } = await acme.post('/auth/api-keys', { name: 'w', scopes: ['write'] })
    const refused = await api.client(writer.key).post(path, body, KEY)
    expect([refused.status, refused.body.code]).toEqual([403, 'scope_not_grantable'])
    const answer = await acme.post(path, body, KEY)
    expect([answer.status, isReplay(answer)]).toEqual([201, false])
  })

  test('what is kept for the repeat is not the key: no file of the database holds it', async () => {
    const { api, acme, path } = await start()
    const { body: made } = await acme.post(path, body, KEY)
    const folder = join(api.dataDir, 'tenants', acme.tenantId)
    const [kept] = await api.api.stores.homes.use(acme.tenantId, (db) =>
      db.selectFrom('idempotency_keys').select('sealed_secret').where('resource_id', '=', made.id).execute(),
    )
    const bytesOf = (name: string) => readFileSync(join(folder, name), 'latin1')
    const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile())
    const all = files.map(({ name }) => bytesOf(name)).join('')

    expect(files.map(({ name }) => name)).toEqual(expect.arrayContaining(['agent.db', 'agent.db-wal']))
    expect(all).toContain(kept?.sealed_secret) // so this does look where it would be
    expect(all).toContain(made.keyPrefix)
    const secret = made.key.slice(25)
    for (const encoded of [secret, btoa(secret).slice(0, 40), Buffer.from(secret).toString('hex')]) {
      expect(all).not.toContain(encoded)
    }
    await api.close()
    expect(bytesOf('agent.db')).toContain(made.keyPrefix)
    expect(bytesOf('agent.db')).not.toContain(secret)
  })

  test('the same Idempotency-Key of two tenants makes a key for each', async () => {
    const { api, acme, path } = await start()
    const globex = await api.tenant('globex')
    const theirPath = await prepare(globex)
    const [a, g] = [await acme.post(path, body, KEY), await globex.post(theirPath, body, KEY)]
    expect([a.status, g.status, isReplay(g)]).toEqual([201, 201, false])
    expect(a.body.key).not.toBe(g.body.key)
  })
})

test('a repeat tells that the key has been revoked meanwhile', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', PROGRAM, KEY)
  await acme.delete(`/auth/api-keys/${made.id}`)
  const { status, body } = await acme.post('/auth/api-keys', PROGRAM, KEY)
  expect([status, body.id, typeof body.revokedAt]).toEqual([201, made.id, 'string'])
})

test('a key that rotates itself with an overlap can repeat the call', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body: old } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'write'] })
  const program = api.client(old.key)
  const rotate = () => program.post(`/auth/api-keys/${old.id}/rotate`, { overlapSeconds: 60 }, KEY)
  const [first, again] = [await rotate(), await rotate()]
  expect([again.status, isReplay(again), again.body.key]).toEqual([201, true, first.body.key])
})
