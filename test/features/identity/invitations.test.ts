import { readdirSync, readFileSync } from 'node:fs'
import { join as joinPath } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parseInvitationToken } from '#kit/crypto/api-key.ts'
import { toBase62 } from '#kit/crypto/base62.ts'
import { crc32 } from '#kit/crypto/crc32.ts'
import type { Answer, Client } from '#test/support/client.ts'
import { mailServer } from '#test/support/mail-server.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { collectLog } from '../http/collect-log.ts'
import { HeldClock } from '../http/held-clock.ts'
import { join } from './joining.ts'

const DAY_MS = 24 * 60 * 60 * 1000

const invite = (client: Client, email: string, more: object = {}, headers = {}) =>
  client.post('/users/invite', { email, ...more }, headers)
const accept = (api: TestApi, token: unknown, more: object = {}) =>
  api.client(null).post('/users/invite/accept', { token, ...more })
const isReplay = ({ headers }: Answer) => headers.get('idempotent-replayed') === 'true'
const told = ({ status, body }: Answer) => [status, body?.code, body?.message, body?.details]

const NOT_VALID = [
  404,
  'invitation_not_found',
  'This invitation is not valid. It may be mistyped, used, replaced or expired.',
  null,
]

/** How many keys and tokens the control database leads to a tenant. */
async function indexed(api: TestApi): Promise<string[]> {
  const rows = await api.api.stores.control.selectFrom('key_index').select('key_id').orderBy('key_id').execute()
  return rows.map((row) => row.key_id)
}

describe('an invited person', () => {
  test('is a user who waits, until the token is shown', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const { status, body } = await invite(acme, 'Ada@X.test', { name: 'Ada', role: 'viewer' })
    expect(status).toBe(201)
    expect(body).toEqual({
      user: expect.objectContaining({ email: 'ada@x.test', name: 'Ada', role: 'viewer', status: 'invited' }),
      expiresAt: '2026-03-08T12:00:00.000Z',
      isMailed: false,
      token: expect.stringMatching(/^desi_inv_[0-9A-Za-z]{50}$/),
    })

    clock.pass(1_000)
    const accepted = await accept(api, body.token, { name: 'Ada Lovelace' })
    expect(accepted.status).toBe(201)
    expect(accepted.body.tenant).toEqual({ id: acme.tenantId, name: 'acme', slug: 'acme' })
    expect(accepted.body.user).toEqual({
      ...body.user,
      name: 'Ada Lovelace',
      status: 'active',
      updatedAt: '2026-03-01T12:00:01.000Z',
      lastLoginAt: '2026-03-01T12:00:01.000Z',
    })
    expect((await acme.get('/users?search=lovelace')).body.data).toEqual([accepted.body.user])
    const { body: me } = await api.client(accepted.body.apiKey.key).get('/auth/me')
    expect(me).toMatchObject({ id: body.user.id, tenant: { slug: 'acme' }, apiKey: { id: accepted.body.apiKey.id } })
  })

  test.each([
    ['admin', ['read', 'write', 'execute', 'admin']],
    ['member', ['read', 'write', 'execute']],
    ['viewer', ['read']],
  ])('who comes as %s gets a key that may do all the role allows', async (role, scopes) => {
    const api = await startApi()
    const { client } = await join(api, await api.tenant('acme'), 'ada@x.test', role)
    expect((await client.get('/auth/me')).body).toMatchObject({ role, scopes, apiKey: { scopes, expiresAt: null } })
  })

  test('keeps the name of the invitation without one of the own, or the address without any', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { userId: named } = await join(api, acme, 'ada@x.test', 'member', 'Ada')
    const { userId: nameless } = await join(api, acme, 'bob@x.test')
    expect((await acme.get(`/users/${named}`)).body.name).toBe('Ada')
    expect((await acme.get(`/users/${nameless}`)).body.name).toBe('bob@x.test')
  })

  test('gets a key no older than the tenant allows', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    expect((await acme.patch('/tenant', { maxApiKeyAgeDays: 30 })).status).toBe(200)
    const { body } = await accept(api, (await invite(acme, 'ada@x.test')).body.token)
    expect(body.apiKey.expiresAt).toBe('2026-03-31T12:00:00.000Z')
    const ada = api.client(body.apiKey.key)
    clock.pass(30 * DAY_MS - 1)
    expect((await ada.get('/auth/me')).status).toBe(200)
    clock.pass(1)
    expect((await ada.get('/auth/me')).status).toBe(401)
  })

  test('who comes twice at once comes once', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const before = await indexed(api)
    const { body } = await invite(acme, 'ada@x.test')
    const answers = await Promise.all(Array.from({ length: 5 }, () => accept(api, body.token)))

    const [one] = answers
    expect(answers.map((answer) => [answer.status, answer.body])).toEqual(Array(5).fill([201, one?.body]))
    expect((await api.client(one?.body.apiKey.key).get('/auth/me')).status).toBe(200)
    const { body: keys } = await acme.get('/auth/api-keys?owner=all')
    expect(keys.data.filter(({ userId }: { userId: string }) => userId === body.user.id).length).toBe(1)
    expect((await indexed(api)).length).toBe(before.length + 2) // the key, and the token for a while; no spare key
  })
})

describe('an invitation', () => {
  test('is kept as a hash: no file of the server holds the token', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { body } = await invite(acme, 'ada@x.test', {}, { 'idempotency-key': 'k-1' })
    const { tokenId } = parseInvitationToken(body.token) as { tokenId: string }
    const secret = body.token.slice('desi_inv_'.length + tokenId.length)
    await api.close()

    const files = readdirSync(api.dataDir, { recursive: true, withFileTypes: true }).filter((file) => file.isFile())
    const contents = files.map((file) => readFileSync(joinPath(file.parentPath, file.name), 'latin1'))
    expect(contents.some((content) => content.includes(tokenId))).toBe(true)
    expect(contents.filter((content) => content.includes(secret))).toEqual([])
  })

  test('again puts a new token in the place of the old one, with the new name and role', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { body: first } = await invite(acme, 'ada@x.test', { name: 'Ada', role: 'viewer' })
    const before = await indexed(api)
    const { status, body: second } = await invite(acme, 'ADA@x.test', { name: 'Augusta', role: 'member' })

    expect(status).toBe(201)
    expect(second.token).not.toBe(first.token)
    expect(second.user).toMatchObject({ id: first.user.id, email: 'ada@x.test', name: 'Augusta', role: 'member' })
    const after = await indexed(api)
    expect(after.length).toBe(before.length)
    expect(after).not.toContain(parseInvitationToken(first.token)?.tokenId)
    expect(told(await accept(api, first.token))).toEqual(NOT_VALID)
    expect((await accept(api, second.token)).body.user).toMatchObject({ name: 'Augusta', role: 'member' })
  })

  test('of somebody who is in already is refused, however the address is written', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const before = await indexed(api)
    const { status, body } = await invite(acme, 'Admin@ACME.test')
    expect([status, body.code, body.details]).toEqual([409, 'user_exists', { email: 'admin@acme.test' }])
    expect(await indexed(api)).toEqual(before)
  })

  test('finds the first admin however the tenant’s maker wrote that address', async () => {
    const api = await startApi()
    const { body: made } = await api.superAdmin.post('/admin/tenants', {
      slug: 'acme',
      admin: { email: 'Boss@Acme.test' },
    })
    expect(made.user.email).toBe('boss@acme.test')
    const { status, body } = await invite(api.client(made.apiKey), 'BOSS@acme.test')
    expect([status, body.code]).toEqual([409, 'user_exists'])
  })

  test('of a removed user makes a new user', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { userId } = await join(api, acme, 'ada@x.test')
    await acme.delete(`/users/${userId}`)
    const again = await join(api, acme, 'ada@x.test')
    expect(again.userId).not.toBe(userId)
    expect((await again.client.get('/auth/me')).status).toBe(200)
    expect((await acme.get(`/users/${userId}`)).body.status).toBe('removed')
  })

  test('to one tenant opens no other, and one address may be in both', async () => {
    const api = await startApi()
    const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
    const [a, g] = [await invite(acme, 'ada@x.test'), await invite(globex, 'ada@x.test')]
    expect((await accept(api, a.body.token)).body.tenant.slug).toBe('acme')
    expect((await accept(api, g.body.token)).body.tenant.slug).toBe('globex')
  })

  test.each([
    { email: 'nobody' },
    { email: 'a@b.test\r\nBcc: c@d.test' },
    { email: 'a@b.test, c@d.test' },
    { email: `${'a'.repeat(250)}@b.test` },
    { email: 'a@b.test', role: 'owner' },
    { email: 'a@b.test', name: ' ' },
  ])('to %j does not fit the contract', async (body) => {
    const acme = await (await startApi()).tenant('acme')
    expect((await acme.post('/users/invite', body)).status).toBe(400)
  })
})

test('who is removed leaves nobody a way in: the open invitations of that user are withdrawn', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const admin = await join(api, acme, 'boss@x.test', 'admin')
  const { body: theirs } = await admin.client.post('/users/invite', { email: 'friend@x.test', role: 'admin' })
  const { body: other } = await acme.post('/users/invite', { email: 'other@x.test' })

  await acme.delete(`/users/${admin.userId}`)

  const accept = (token: string) => api.client(null).post('/users/invite/accept', { token })
  expect((await accept(theirs.token)).body.code).toBe('invitation_not_found')
  expect((await accept(other.token)).status).toBe(201)
})

describe('every token that is no good answers the same', () => {
  /** As the server would make it, but with this public part. */
  function tokenWith(tokenId: string): string {
    const body = `desi_inv_${tokenId}${'0'.repeat(32)}`
    return body + toBase62(crc32(body), 6)
  }

  test('mistyped, forged or unknown', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { token } = (await invite(acme, 'ada@x.test')).body
    const keyId = acme.key?.slice('desi_sk_live_'.length, 'desi_sk_live_'.length + 12) as string
    const before = await indexed(api)
    const wrong = [
      'x',
      acme.key,
      token.slice(0, -1),
      `${token.slice(0, -1)}${token.endsWith('0') ? '1' : '0'}`,
      tokenWith('0'.repeat(12)),
      tokenWith(parseInvitationToken(token)?.tokenId as string), // leads to the tenant, with another secret
      tokenWith(keyId), // what leads to the tenant is a key
    ]
    for (const guess of wrong) expect.soft(told(await accept(api, guess)), String(guess)).toEqual(NOT_VALID)
    expect(await indexed(api)).toEqual(before)
    expect((await accept(api, token)).status).toBe(201)
  })

  test('used ten minutes ago, or withdrawn with its user', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const [used, withdrawn] = [(await invite(acme, 'ada@x.test')).body, (await invite(acme, 'bob@x.test')).body]
    expect((await accept(api, used.token)).status).toBe(201)
    clock.pass(10 * 60_000)
    expect(told(await accept(api, used.token))).toEqual(NOT_VALID)

    expect((await acme.delete(`/users/${withdrawn.user.id}`)).status).toBe(204)
    expect(told(await accept(api, withdrawn.token))).toEqual(NOT_VALID)
    await acme.patch(`/users/${withdrawn.user.id}`, { status: 'active' })
    expect(told(await accept(api, withdrawn.token))).toEqual(NOT_VALID)
    expect(await indexed(api)).not.toContain(parseInvitationToken(withdrawn.token)?.tokenId)
  })

  test('seven days old', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const [early, late] = [(await invite(acme, 'ada@x.test')).body, (await invite(acme, 'bob@x.test')).body]
    clock.pass(7 * DAY_MS - 1)
    expect((await accept(api, early.token)).status).toBe(201)
    clock.pass(1)
    const before = await indexed(api)
    expect(told(await accept(api, late.token))).toEqual(NOT_VALID)
    expect(await indexed(api)).toEqual(before)
  })

  test('of a suspended tenant, whichever database says so; and good again when it is resumed', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { token } = (await invite(acme, 'ada@x.test')).body
    const { control, homes } = api.api.stores
    const setControl = (status: string) =>
      control.updateTable('tenants').set({ status }).where('id', '=', acme.tenantId).execute()
    const setOwn = (status: string) =>
      homes.use(acme.tenantId, (db) => db.updateTable('tenant').set({ status }).execute())

    await setControl('suspended')
    expect(told(await accept(api, token))).toEqual(NOT_VALID)
    await setControl('active')
    await setOwn('suspended')
    const before = await indexed(api)
    expect(told(await accept(api, token))).toEqual(NOT_VALID)
    expect(await indexed(api)).toEqual(before)
    await setOwn('active')
    expect((await accept(api, token)).status).toBe(201)
  })

  test('of a tenant that is gone', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const { token } = (await invite(acme, 'ada@x.test')).body
    const gone = await api.superAdmin.delete(`/admin/tenants/${acme.tenantId}?purge=true`, {
      'x-confirm-purge': 'acme',
    })
    expect(gone.status).toBe(200)
    expect(told(await accept(api, token))).toEqual(NOT_VALID)
  })
})

describe('maxUsers', () => {
  const countOf = async (client: Client) => (await client.get('/users?limit=1&includeTotal=true')).body.pagination.total

  test('counts invited users: of two at once for the last place one gets it', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxUsers: 3 } })
    await invite(acme, 'waiting@x.test')
    const before = await indexed(api)

    const answers = await Promise.all([invite(acme, 'ada@x.test'), invite(acme, 'bob@x.test')])

    const [made, refused] = answers.toSorted((a, b) => a.status - b.status)
    expect(made?.status).toBe(201)
    expect([refused?.status, refused?.body.code, refused?.body.details]).toEqual([
      403,
      'quota_exceeded',
      { quota: 'maxUsers', limit: 3, used: 3 },
    ])
    expect(await countOf(acme)).toBe(3)
    expect((await indexed(api)).length).toBe(before.length + 1)
  })

  test('holds against 30 at once, and is used up to the last place', async () => {
    const acme = await (await startApi()).tenant('acme', { quotas: { maxUsers: 10 } })
    const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => invite(acme, `u${i}@x.test`)))
    expect(answers.filter(({ status }) => status === 201).length).toBe(9) // the admin is the tenth
    expect(answers.filter(({ body }) => body.code === 'quota_exceeded').length).toBe(21)
    expect(await countOf(acme)).toBe(10)
  })

  test('of the plan lets three in', async () => {
    const acme = await (await startApi()).tenant('acme', { plan: 'free' })
    for (const email of ['a@x.test', 'b@x.test']) expect((await invite(acme, email)).status).toBe(201)
    expect((await invite(acme, 'c@x.test')).body.details).toEqual({ quota: 'maxUsers', limit: 3, used: 3 })
  })

  test('does not stand in the way of inviting somebody again, and a removed user makes room', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxUsers: 2 } })
    const { body } = await invite(acme, 'ada@x.test')
    expect((await invite(acme, 'ada@x.test')).status).toBe(201)
    expect((await invite(acme, 'bob@x.test')).status).toBe(403)
    await acme.delete(`/users/${body.user.id}`)
    expect((await invite(acme, 'bob@x.test')).status).toBe(201)
  })
})

describe('a repeat with the same Idempotency-Key', () => {
  const KEY = { 'idempotency-key': 'k-1' }

  test('shows the same token for ten minutes, to the same caller, and makes nothing', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const first = await invite(acme, 'ada@x.test', {}, KEY)
    const before = await indexed(api)
    clock.pass(10 * 60_000 - 1)
    const again = await invite(acme, 'ada@x.test', {}, KEY)
    expect([again.status, isReplay(again), again.body]).toEqual([201, true, first.body])
    expect(await indexed(api)).toEqual(before)

    const { body: other } = await acme.post('/auth/api-keys', { name: 'other', scopes: ['admin'] })
    const stranger = await invite(api.client(other.key), 'ada@x.test', {}, KEY)
    expect([stranger.status, stranger.body.code]).toEqual([409, 'secret_no_longer_available'])

    clock.pass(1)
    const late = await invite(acme, 'ada@x.test', {}, KEY)
    expect([late.status, late.body.code]).toEqual([409, 'secret_no_longer_available'])
    expect((await accept(api, first.body.token)).status).toBe(201)
  })

  test('of many at once makes one invitation', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme')
    const before = await indexed(api)
    const answers = await Promise.all(Array.from({ length: 10 }, () => invite(acme, 'ada@x.test', {}, KEY)))
    const made = answers.filter(({ status }) => status === 201)
    expect(made.filter((answer) => !isReplay(answer)).length).toBe(1)
    expect(new Set(made.map(({ body }) => body.token)).size).toBe(1)
    expect(answers.filter(({ body }) => body.code === 'idempotency_in_progress').length).toBe(10 - made.length)
    expect((await indexed(api)).length).toBe(before.length + 1)
  })

  test('still answers when the invitation has been accepted', async () => {
    const clock = new HeldClock()
    const api = await startApi({ overrides: { now: clock.now } })
    const acme = await api.tenant('acme')
    const first = await invite(acme, 'ada@x.test', {}, KEY)
    clock.pass(1_000)
    await accept(api, first.body.token)
    const again = await invite(acme, 'ada@x.test', {}, KEY)
    expect([again.status, again.body.user.status, again.body.expiresAt]).toEqual([
      201,
      'active',
      '2026-03-01T12:00:01.000Z',
    ])
  })

  test('shows neither a token nor a user once the address has been invited again, or withdrawn', async () => {
    const acme = await (await startApi()).tenant('acme')
    const { body: first } = await invite(acme, 'ada@x.test', {}, KEY)
    expect((await invite(acme, 'ada@x.test')).status).toBe(201)
    const replaced = await invite(acme, 'ada@x.test', {}, KEY)
    expect([replaced.status, replaced.body.code]).toEqual([409, 'secret_no_longer_available'])
    expect(JSON.stringify(replaced.body)).not.toContain(first.token)

    const other = { 'idempotency-key': 'k-2' }
    const { body: second } = await invite(acme, 'ada@x.test', {}, other)
    await acme.delete(`/users/${second.user.id}`)
    const withdrawn = await invite(acme, 'ada@x.test', {}, other)
    expect([withdrawn.status, withdrawn.body.code]).toEqual([409, 'secret_no_longer_available'])
  })

  test('of an invitation there was no room for tries again', async () => {
    const api = await startApi()
    const acme = await api.tenant('acme', { quotas: { maxUsers: 2 } })
    const ada = await join(api, acme, 'ada@x.test')
    expect((await invite(acme, 'bob@x.test', {}, KEY)).status).toBe(403)
    await acme.delete(`/users/${ada.userId}`)
    const again = await invite(acme, 'bob@x.test', {}, KEY)
    expect([again.status, isReplay(again)]).toEqual([201, false])
  })
})

describe('by mail', () => {
  const LINK = { INVITE_URL: 'https://app.example/join?token={token}&from=mail' }
  const tokenIn = (text: string) => /desi_inv_[0-9A-Za-z]{50}/.exec(text)?.[0]

  test('an invitation reaches its address, tells who invites and when it ends, and its link is good', async () => {
    const clock = new HeldClock()
    const server = await mailServer()
    const { log, lines } = collectLog()
    const api = await startApi({ env: { ...server.env, ...LINK }, overrides: { now: clock.now, log } })
    const acme = await api.tenant('acme', { name: 'Acme & Söhne' })

    const { status, body } = await invite(acme, 'Ada@x.test')

    expect([status, body.isMailed, body.token]).toEqual([201, true, null])
    expect(server.mails.length).toBe(1)
    const [mail] = server.mails
    expect([mail?.from, mail?.to]).toEqual(['no-reply@desi.test', ['ada@x.test']])
    expect(mail?.text).toContain('Acme & Söhne invites you')
    expect(mail?.text).toContain('2026-03-08 at 12:00 UTC')
    const token = tokenIn(mail?.text ?? '')
    expect(mail?.text.split('\n')).toContain(`https://app.example/join?token=${token}&from=mail`)
    const accepted = await accept(api, token)
    expect(accepted.body.user).toMatchObject({ id: body.user.id, status: 'active' })
    expect(JSON.stringify(lines)).not.toContain('desi_inv_')
  })

  test('without an INVITE_URL the mail holds the token', async () => {
    const server = await mailServer()
    const api = await startApi({ env: server.env })
    await invite(await api.tenant('acme'), 'ada@x.test')
    const lines = server.mails[0]?.text.split('\n') ?? []
    const token = lines.find((line) => line === tokenIn(line))
    expect((await accept(api, token)).status).toBe(201)
  })

  test('nothing waits for the mail server but who invites: the tenant’s database is free meanwhile', async () => {
    const meanwhile: number[] = []
    let acme: Client | undefined
    const server = await mailServer(async () => {
      meanwhile.push((await (acme as Client).patch('/users/me', { name: 'Chief' })).status)
      meanwhile.push((await (acme as Client).get('/users?status=invited')).body.data.length)
    })
    const api = await startApi({ env: server.env })
    acme = await api.tenant('acme')
    expect((await invite(acme, 'ada@x.test')).status).toBe(201)
    expect(meanwhile).toEqual([200, 1])
  })

  test('that fails is said; the invitation stays, and a repeat with the same key sends it', async () => {
    let isBroken = true
    const server = await mailServer(() => {
      if (isBroken) throw new Error('disk full')
    })
    const { log, lines } = collectLog()
    const api = await startApi({ env: server.env, overrides: { log } })
    const acme = await api.tenant('acme')
    const key = { 'idempotency-key': 'k-1' }
    const failed = await invite(acme, 'ada@x.test', {}, key)
    expect([failed.status, failed.body.code]).toEqual([502, 'mail_failed'])
    const { body: waiting } = await acme.get('/users?status=invited')
    expect(waiting.data.length).toBe(1)
    expect(lines.filter(({ level }) => level === 'warn').length).toBe(1)
    expect(JSON.stringify(lines)).not.toContain('desi_inv_')

    isBroken = false
    const sent = await invite(acme, 'ada@x.test', {}, key)
    expect([sent.status, isReplay(sent), sent.body.user.id]).toEqual([201, false, waiting.data[0].id])
    const again = await invite(acme, 'ada@x.test', {}, key)
    expect([again.status, isReplay(again), again.body]).toEqual([201, true, sent.body])
    expect(again.body).toMatchObject({ isMailed: true, token: null })
    expect(server.mails.length).toBe(1)
    expect((await accept(api, tokenIn(server.mails[0]?.text ?? ''))).status).toBe(201)
  })

  test('is not sent again by a repeat, which tells when the address has been invited anew', async () => {
    const server = await mailServer()
    const acme = await (await startApi({ env: server.env })).tenant('acme')
    const key = { 'idempotency-key': 'k-1' }
    await invite(acme, 'ada@x.test', {}, key)
    await invite(acme, 'ada@x.test')
    const { status, body } = await invite(acme, 'ada@x.test', {}, key)
    expect([status, body.code, body.message]).toEqual([
      409,
      'secret_no_longer_available',
      'The first request with this Idempotency-Key made an invitation that has been accepted, replaced or withdrawn since.',
    ])
    expect(server.mails.length).toBe(2)
  })

  test('that nobody takes is said', async () => {
    const env = { SMTP_HOST: '127.0.0.1', SMTP_PORT: '1', SMTP_FROM: 'a@b.test' }
    const acme = await (await startApi({ env })).tenant('acme')
    const { status, body } = await invite(acme, 'ada@x.test')
    expect([status, body.code]).toEqual([502, 'mail_failed'])
  })

  test('a tenant’s name with line breaks writes no header and no line of its own', async () => {
    const server = await mailServer()
    const api = await startApi({ env: server.env })
    const acme = await api.tenant('acme', { name: 'Acme\r\nBcc: eve@evil.test\u2028Pay here' })
    await invite(acme, 'ada@x.test', { name: 'Ada\r\nBcc: eve@evil.test' })
    const [mail] = server.mails
    expect(mail?.to).toEqual(['ada@x.test'])
    expect(mail?.headers.filter((header) => /^bcc:/i.test(header))).toEqual([])
    expect(mail?.headers).toContain('Subject: Invitation to Acme Bcc: eve@evil.test Pay here')
    expect(mail?.text.split('\n')[0]).toBe('Acme Bcc: eve@evil.test Pay here invites you to its desiAgent workspace.')
  })
})
