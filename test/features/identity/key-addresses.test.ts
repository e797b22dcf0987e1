import { describe, expect, test, vi } from 'vitest'
import { type StartOptions, startApi } from '#test/support/start-api.ts'
import { guessFor } from './forged-keys.ts'

const HOME = '192.0.2.1'
const ELSEWHERE = '198.51.100.7'

async function start(allowedAddresses: string[], options?: StartOptions) {
  const api = await startApi(options)
  const acme = await api.tenant('acme')
  const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read', 'write'], allowedAddresses })
  const from = (address: string) => api.client(body.key, address)
  const outcome = async (address: string) => {
    const answer = await from(address).get('/auth/me')
    return answer.status === 200 ? 200 : `${answer.status} ${answer.body.code}`
  }
  return { api, acme, made: body, from, outcome }
}

describe('a key with an allow-list works from', () => {
  test.each([
    { list: ['192.0.2.1'], inside: ['192.0.2.1', '::ffff:192.0.2.1'], outside: ['192.0.2.2', '2001:db8::1'] },
    { list: ['192.0.2.64/26'], inside: ['192.0.2.64', '192.0.2.127'], outside: ['192.0.2.63', '192.0.2.128'] },
    { list: ['192.0.2.77/24'], inside: ['192.0.2.0', '::ffff:c000:2ff'], outside: ['192.0.3.0'] },
    { list: ['2001:db8::1'], inside: ['2001:DB8:0:0:0:0:0:1'], outside: ['2001:db8::2', '192.0.2.1'] },
    { list: ['2001:db8:aa::/48'], inside: ['2001:db8:aa:ffff::1'], outside: ['2001:db8:ab::1'] },
    { list: ['::ffff:192.0.2.1'], inside: ['192.0.2.1', '::ffff:192.0.2.1'], outside: ['192.0.2.2'] },
    { list: ['::ffff:192.0.2.0/120'], inside: ['192.0.2.9', '::ffff:192.0.2.9'], outside: ['192.0.3.9'] },
    { list: ['0.0.0.0/0'], inside: ['203.0.113.9'], outside: ['2001:db8::1'] },
    { list: ['203.0.113.9', '2001:db8::/32'], inside: ['203.0.113.9', '2001:db8:1::1'], outside: ['203.0.113.8'] },
  ])('$list and from nowhere else', async ({ list, inside, outside }) => {
    const { outcome } = await start(list)
    for (const address of inside) expect(await outcome(address), address).toBe(200)
    for (const address of [...outside, 'unknown', '']) {
      expect(await outcome(address), address).toBe('403 address_not_allowed')
    }
  })

  test('everywhere when there is none', async () => {
    const { api, acme } = await start([HOME])
    const { body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'] })
    expect(body.allowedAddresses).toBeNull()
    for (const address of [HOME, ELSEWHERE, '2001:db8::1', 'unknown']) {
      expect((await api.client(body.key, address).get('/auth/me')).status).toBe(200)
    }
  })
})

test('an allow-list is shown as it was written', async () => {
  const { acme, made } = await start(['192.0.2.77/24', '2001:DB8::1'])
  const { body } = await acme.get('/auth/api-keys')
  const [listed] = body.data.filter(({ id }: { id: string }) => id === made.id)
  expect(made.allowedAddresses).toEqual(['192.0.2.77/24', '2001:DB8::1'])
  expect(listed.allowedAddresses).toEqual(made.allowedAddresses)
})

test('what is no address or range in its full form is refused, and so is an empty list', async () => {
  const { acme } = await start([HOME])
  const wrong = ['', 'example.com', '192.0.2.1/33', '2001:db8::/129', '10/8', '10', '010.0.0.1', '0x7f.1', '192.0.2.*']
  for (const list of [[], ...wrong.map((entry) => [HOME, entry])]) {
    const { status, body } = await acme.post('/auth/api-keys', { name: 'k', scopes: ['read'], allowedAddresses: list })
    expect([status, body.code], list.join()).toEqual([400, 'validation_failed'])
  }
})

test('an allow-list has at most 50 entries', async () => {
  const { acme } = await start([HOME])
  const list = (length: number) => Array.from({ length }, (_, i) => `192.0.2.${i}`)
  const make = (allowedAddresses: string[]) =>
    acme.post('/auth/api-keys', { name: 'k', scopes: ['read'], allowedAddresses })
  expect((await make(list(50))).status).toBe(201)
  expect((await make(list(51))).status).toBe(400)
})

describe('what the caller says about its address', () => {
  const claiming = (forwardedFor: string) => ({ 'x-forwarded-for': forwardedFor, 'x-real-ip': forwardedFor })

  test('changes nothing without a trusted proxy', async () => {
    const { from } = await start([HOME])
    expect((await from(ELSEWHERE).get('/auth/me', claiming(HOME))).status).toBe(403)
    expect((await from(HOME).get('/auth/me', claiming(ELSEWHERE))).status).toBe(200)
  })

  test('changes nothing behind one either: the address is the one the proxy wrote', async () => {
    const { from } = await start([HOME], { env: { TRUSTED_PROXIES: '10.0.0.0/8' } })
    const proxy = from('10.0.0.1')
    expect((await proxy.get('/auth/me', claiming(HOME))).status).toBe(200)
    expect((await proxy.get('/auth/me', claiming(`${ELSEWHERE}, ${HOME}`))).status).toBe(200)
    expect((await proxy.get('/auth/me', claiming(`${HOME}, ${ELSEWHERE}`))).status).toBe(403)
    expect((await proxy.get('/auth/me')).status).toBe(403)
    expect((await from(ELSEWHERE).get('/auth/me', claiming(HOME))).status).toBe(403)
  })
})

test('who has a wrong secret never learns of the allow-list', async () => {
  const { api, acme, made } = await start([HOME])
  const { body: open } = await acme.post('/auth/api-keys', { name: 'open', scopes: ['read'] })
  const guess = async (key: string) => {
    const { status, body } = await api.client(guessFor(key), ELSEWHERE).get('/auth/me')
    return { status, ...body, requestId: '' }
  }
  const [guarded, free] = [await guess(made.key), await guess(open.key)]
  expect(guarded).toMatchObject({ status: 401, code: 'invalid_api_key' })
  expect(guarded).toEqual(free)
})

test('who has a key that is revoked or expired never learns of it either', async () => {
  const { acme, made, outcome } = await start([HOME])
  await acme.delete(`/auth/api-keys/${made.id}`)
  expect(await outcome(ELSEWHERE)).toBe('401 invalid_api_key')
})

test('calls from the wrong address use up that address, and are no use of the key', async () => {
  const { acme, made, from, outcome } = await start([HOME], { env: { RATE_LIMIT_ADDRESS_PER_MINUTE: '5' } })
  for (let i = 0; i < 5; i += 1) expect(await outcome(ELSEWHERE)).toBe('403 address_not_allowed')
  expect(await outcome(ELSEWHERE)).toBe('429 rate_limited')
  const { body } = await acme.get('/auth/api-keys')
  expect(body.data.find(({ id }: { id: string }) => id === made.id).lastUsedAt).toBeNull()
  expect((await from(HOME).get('/auth/me')).headers.get('x-ratelimit-remaining')).toBe('99999')
})

test('the allow-list holds on every route, the super admin’s included', async () => {
  const { from } = await start([HOME])
  for (const path of ['/auth/me', '/auth/api-keys', '/agents', '/tenant', '/rate-limit', '/admin/tenants']) {
    expect((await from(ELSEWHERE).get(path)).body.code, path).toBe('address_not_allowed')
  }
})

test('what a caller may do and from where is not parsed anew for each request', async () => {
  const { from } = await start([HOME, '2001:db8::/32'])
  const call = () => from(HOME).raw('/api/v2/auth/me')
  for (let i = 0; i < 3; i += 1) expect((await call()).status).toBe(200)
  const parse = vi.spyOn(JSON, 'parse')
  const answer = await call()
  const parsed = parse.mock.calls.map(([text]) => text)
  parse.mockRestore()
  expect(answer.status).toBe(200)
  expect(parsed).toEqual([])
})
