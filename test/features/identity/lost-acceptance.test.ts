import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import { expect, test } from 'vitest'
import { parseInvitationToken } from '#kit/crypto/api-key.ts'
import type { Client } from '#test/support/client.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { collectLog } from '../http/collect-log.ts'
import { HeldClock } from '../http/held-clock.ts'
import { guessFor } from './forged-keys.ts'

const MINUTE_MS = 60_000
const TEN_MINUTES_MS = 10 * MINUTE_MS
const DAY_MS = 24 * 60 * MINUTE_MS

async function start() {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now, log: collectLog().log } })
  const acme = await api.tenant('acme')
  return { api, acme, clock }
}

async function invite(admin: Client, email: string): Promise<string> {
  return (await admin.post('/users/invite', { email })).body.token
}

const accept = (api: TestApi, token: string, more: object = {}) =>
  api.client(null).post('/users/invite/accept', { token, ...more })
const outcome = async (call: ReturnType<typeof accept>) => {
  const { status, body } = await call
  return status === 201 ? 201 : `${status} ${body.code}`
}
const NOT_VALID = '404 invitation_not_found'

async function indexed(api: TestApi): Promise<string[]> {
  const rows = await api.api.stores.control.selectFrom('key_index').select('key_id').execute()
  return rows.map((row) => row.key_id)
}

async function keysOf(acme: Client, userId: string) {
  const { body } = await acme.get('/auth/api-keys?owner=all')
  return body.data.filter((key: { userId: string | null }) => key.userId === userId)
}

function invitationsOf(api: TestApi, acme: { tenantId: string }) {
  return api.api.stores.homes.use(acme.tenantId, (db) =>
    db.selectFrom('invitations').select(['token_id', 'accepted_at', 'sealed_key']).execute(),
  )
}

test('who accepts again within ten minutes gets the same user and the same key, and nothing is made', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  const first = await accept(api, token, { name: 'Ada' })
  const before = await indexed(api)
  clock.pass(TEN_MINUTES_MS - 1)

  const again = await accept(api, token, { name: 'Somebody' })

  expect([again.status, again.body]).toEqual([201, first.body])
  expect(await indexed(api)).toEqual(before)
  expect((await keysOf(acme, first.body.user.id)).length).toBe(1)
  expect((await acme.get(`/users/${first.body.user.id}`)).body).toEqual(first.body.user)
  expect((await api.client(again.body.apiKey.key).get('/auth/me')).body.name).toBe('Ada')
})

test('ten minutes later the token is no good, and the key goes on working', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  const { body } = await accept(api, token)
  const before = await indexed(api)
  clock.pass(TEN_MINUTES_MS)
  expect(await outcome(accept(api, token))).toBe(NOT_VALID)
  expect(await indexed(api)).toEqual(before)
  expect((await api.client(body.apiKey.key).get('/auth/me')).status).toBe(200)
})

test('the ten minutes begin with the acceptance, also when the invitation’s own time ends in them', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  clock.pass(7 * DAY_MS - 1)
  expect(await outcome(accept(api, token))).toBe(201)
  clock.pass(TEN_MINUTES_MS - 1)
  expect(await outcome(accept(api, token))).toBe(201)
  clock.pass(1)
  expect(await outcome(accept(api, token))).toBe(NOT_VALID)
})

test('the answer tells that the key has been revoked meanwhile', async () => {
  const { api, acme } = await start()
  const token = await invite(acme, 'ada@x.test')
  const { body: first } = await accept(api, token)
  await acme.delete(`/auth/api-keys/${first.apiKey.id}`)
  const { status, body } = await accept(api, token)
  expect([status, body.apiKey.id, body.apiKey.revokedAt]).toEqual([201, first.apiKey.id, '2026-03-01T12:00:00.000Z'])
})

test('nobody gets it whose user was removed, was invited anew, or whose tenant is suspended', async () => {
  const { api, acme } = await start()
  const [removed, renewed, suspended] = [
    await invite(acme, 'ada@x.test'),
    await invite(acme, 'bob@x.test'),
    await invite(acme, 'eve@x.test'),
  ]
  const { body: ada } = await accept(api, removed)
  const { body: bob } = await accept(api, renewed)
  expect(await outcome(accept(api, suspended))).toBe(201)

  await acme.delete(`/users/${ada.user.id}`)
  expect(await outcome(accept(api, removed))).toBe(NOT_VALID)

  await acme.delete(`/auth/api-keys/${bob.apiKey.id}`)
  const anew = await invite(acme, 'bob@x.test')
  expect(await outcome(accept(api, renewed))).toBe(NOT_VALID)
  const { body: back } = await accept(api, anew)
  expect(back.user.id).toBe(bob.user.id)
  expect(back.apiKey.id).not.toBe(bob.apiKey.id)
  const left = await indexed(api)
  for (const token of [removed, renewed]) expect(left).not.toContain(parseInvitationToken(token)?.tokenId)

  await api.api.stores.homes.use(acme.tenantId, (db) => db.updateTable('tenant').set({ status: 'suspended' }).execute())
  expect(await outcome(accept(api, suspended))).toBe(NOT_VALID)
})

test('what is kept for that is not the key: no file of the server holds it', async () => {
  const { api, acme } = await start()
  const token = await invite(acme, 'ada@x.test')
  const { body } = await accept(api, token)
  const [kept] = await invitationsOf(api, acme)
  const folder = join(api.dataDir, 'tenants', acme.tenantId)
  const files = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isFile())
  const all = files.map(({ name }) => readFileSync(join(folder, name), 'latin1')).join('')

  expect(all).toContain(kept?.sealed_key) // so this does look where it would be
  expect(all).toContain(body.apiKey.keyPrefix)
  const secret = body.apiKey.key.slice(25)
  for (const encoded of [secret, btoa(secret).slice(0, 40), token.slice(21)]) expect(all).not.toContain(encoded)
})

test('afterwards the next invitation, or the next who accepts, takes along what was kept', async () => {
  const { api, acme, clock } = await start()
  const [ada, bob] = [await invite(acme, 'ada@x.test'), await invite(acme, 'bob@x.test')]
  const tokenIds = [ada, bob].map((token) => parseInvitationToken(token)?.tokenId as string)
  const kept = async () => {
    const [rows, left] = [await invitationsOf(api, acme), await indexed(api)]
    const stored = rows.map((row) => row.token_id)
    return tokenIds.map((id) => [stored.includes(id), left.includes(id)])
  }
  await accept(api, ada)
  clock.pass(TEN_MINUTES_MS - 1)
  await accept(api, bob)
  expect(await kept()).toEqual([
    [true, true],
    [true, true],
  ])
  clock.pass(1)
  const eve = await invite(acme, 'eve@x.test')
  expect(await kept()).toEqual([
    [false, false],
    [true, true],
  ])
  clock.pass(TEN_MINUTES_MS)
  expect(await outcome(accept(api, eve))).toBe(201)
  expect(await kept()).toEqual([
    [false, false],
    [false, false],
  ])
})

test('an acceptance that fails leaves no key in the index, and can be tried again', async () => {
  const { api, acme } = await start()
  const token = await invite(acme, 'ada@x.test')
  const before = await indexed(api)
  const rename = (from: string, to: string) =>
    api.api.stores.homes.use(acme.tenantId, (db) =>
      sql`alter table ${sql.table(from)} rename to ${sql.table(to)}`.execute(db),
    )
  await rename('search_words', 'out_of_order')
  expect(await outcome(accept(api, token))).toBe('500 internal_error')
  expect(await indexed(api)).toEqual(before)
  await rename('out_of_order', 'search_words')
  expect(await outcome(accept(api, token))).toBe(201)
})

test('the sealed key and its token are gone after ten minutes, though nobody comes to that tenant any more', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  await accept(api, token)
  const tokenId = parseInvitationToken(token)?.tokenId as string
  const due = async () =>
    (
      await api.api.stores.control
        .selectFrom('due_work')
        .selectAll()
        .where('kind', '=', 'accepted_invitation')
        .execute()
    ).length

  clock.pass(TEN_MINUTES_MS - 1)
  await api.api.tick()
  expect([(await invitationsOf(api, acme)).length, await due()]).toEqual([1, 1])
  clock.pass(1)
  await api.api.tick()

  expect([await invitationsOf(api, acme), await due()]).toEqual([[], 0])
  expect(await indexed(api)).not.toContain(tokenId)
})

async function dueAt(api: TestApi, tokenId: string): Promise<string | undefined> {
  const due = api.api.stores.control.selectFrom('due_work').select('due_at').where('kind', '=', 'accepted_invitation')
  return (await due.where('subject_id', '=', tokenId).executeTakeFirst())?.due_at
}

test('asking again does not keep the sealed key any longer', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  const tokenId = parseInvitationToken(token)?.tokenId as string
  await accept(api, token)
  const end = await dueAt(api, tokenId)
  expect(end).toBe('2026-03-01T12:10:00.000Z')

  clock.pass(9 * MINUTE_MS)
  expect(await outcome(accept(api, token))).toBe(201)
  expect(await dueAt(api, tokenId)).toBe(end)
  clock.pass(MINUTE_MS)
  await api.api.tick()
  expect([await invitationsOf(api, acme), await dueAt(api, tokenId)]).toEqual([[], undefined])
})

test('a guess before moves the end neither away nor ahead of the acceptance', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  const tokenId = parseInvitationToken(token)?.tokenId as string
  expect(await outcome(accept(api, guessFor(token)))).toBe(NOT_VALID)
  clock.pass(9 * MINUTE_MS)
  expect(await outcome(accept(api, guessFor(token)))).toBe(NOT_VALID)
  expect(await dueAt(api, tokenId)).toBe('2026-03-01T12:10:00.000Z')

  expect(await outcome(accept(api, token))).toBe(201)
  expect(await dueAt(api, tokenId)).toBe('2026-03-01T12:19:00.000Z')
  expect(await outcome(accept(api, guessFor(token)))).toBe(NOT_VALID)
  expect(await dueAt(api, tokenId)).toBe('2026-03-01T12:19:00.000Z')
})

test('what is looked at too early is looked at again when it ends', async () => {
  const { api, acme, clock } = await start()
  const token = await invite(acme, 'ada@x.test')
  const tokenId = parseInvitationToken(token)?.tokenId as string
  await accept(api, token)
  // As after a crash between the acceptance and the word of its end, when somebody had guessed before.
  const row = api.api.stores.control.updateTable('due_work').set({ due_at: '2026-03-01T12:02:00.000Z' })
  await row.where('subject_id', '=', tokenId).execute()
  clock.pass(2 * MINUTE_MS)
  await api.api.tick()

  expect([(await invitationsOf(api, acme)).length, await dueAt(api, tokenId)]).toEqual([1, '2026-03-01T12:10:00.000Z'])
  clock.pass(8 * MINUTE_MS)
  await api.api.tick()
  expect([await invitationsOf(api, acme), await dueAt(api, tokenId)]).toEqual([[], undefined])
})
