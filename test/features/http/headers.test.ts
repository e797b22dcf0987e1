import { expect, test } from 'vitest'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const SECURITY = {
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'cross-origin-resource-policy': 'same-origin',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cache-control': 'no-store',
}

/** One request for each way an answer can come about. */
async function answersOfEveryKind(api: TestApi, headers: Record<string, string> = {}): Promise<Map<number, Response>> {
  const acme = await api.tenant('acme')
  const broken = await api.tenant('broken')
  await api.api.stores.homes.use(broken.tenantId, (db) => db.destroy())
  const { body: agent } = await acme.post('/agents', { name: 'a', version: '1', systemPrompt: 'x' })
  const post = (path: string, more: Record<string, string>, body = '{}') =>
    acme.raw(path, { method: 'POST', body, headers: { ...headers, ...more } })
  const responses = await Promise.all([
    acme.raw('/api/v2/agents', { headers }),
    acme.raw(`/api/v2/agents/${agent.id}`, { method: 'DELETE', headers }),
    post('/api/v2/agents', { 'content-type': 'application/json' }, '{'),
    api.client(null).raw('/api/v2/agents', { headers }),
    acme.raw('/api/v2/admin/tenants', { headers }),
    acme.raw('/nothing', { headers }),
    acme.raw('/api/v2/agents', { method: 'PUT', headers }),
    post('/api/v2/agents', { 'content-type': 'application/json', 'content-length': '99999999' }),
    post('/api/v2/agents', { 'content-type': 'text/plain' }),
    broken.raw('/api/v2/agents', { headers }),
  ])
  return new Map(responses.map((response) => [response.status, response]))
}

const KINDS = [200, 204, 400, 401, 403, 404, 405, 413, 415, 500]

test('every answer carries the security headers and a request id, errors too', async () => {
  const answers = await answersOfEveryKind(await startApi())
  expect([...answers.keys()].toSorted()).toEqual(KINDS)
  for (const [status, { headers }] of answers) {
    for (const [name, value] of Object.entries(SECURITY)) {
      expect.soft(headers.get(name), `${name} of ${status}`).toBe(value)
    }
    expect.soft(headers.get('x-request-id'), `of ${status}`).toMatch(/^[0-9a-f-]{36}$/)
  }
})

test('the request id of the caller comes back on every answer', async () => {
  const answers = await answersOfEveryKind(await startApi(), { 'x-request-id': 'trace:0123.abc-DEF' })
  expect([...answers.keys()].toSorted()).toEqual(KINDS)
  for (const [status, { headers }] of answers) {
    expect.soft(headers.get('x-request-id'), `of ${status}`).toBe('trace:0123.abc-DEF')
  }
})

test.each([
  'short',
  'x'.repeat(129),
  'with space in it',
  '<script>alert(1)</script>',
  'ümläutümläut',
  '{"a":"bbbbbb"}',
])('the unfit request id %s is replaced', async (id) => {
  const api = await startApi()
  const { headers } = await api.client(null).raw('/health', { headers: { 'x-request-id': encodeIfNeeded(id) } })
  expect(headers.get('x-request-id')).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/)
})

/** Header values are bytes; a test may still send what a sloppy client would. */
function encodeIfNeeded(value: string): string {
  return Array.from(new TextEncoder().encode(value), (byte) => String.fromCharCode(byte)).join('')
}

test('two requests never share a request id', async () => {
  const api = await startApi()
  const ids = await Promise.all(
    Array.from({ length: 50 }, async () => (await api.client(null).raw('/health')).headers.get('x-request-id')),
  )
  expect(new Set(ids).size).toBe(50)
})

const APP = 'https://app.example'

test('a configured origin may call, and nobody else', async () => {
  const api = await startApi({ env: { CORS_ORIGINS: `${APP}, https://other.example` } })
  const allowed = async (origin: string) =>
    (await api.client(null).raw('/health', { headers: { origin } })).headers.get('access-control-allow-origin')

  expect(await allowed(APP)).toBe(APP)
  expect(await allowed('https://other.example')).toBe('https://other.example')
  for (const origin of ['https://evil.example', `${APP}.evil.example`, 'http://app.example', 'null']) {
    expect(await allowed(origin)).toBeNull()
  }
})

test('without configuration no origin may call', async () => {
  const api = await startApi()
  const response = await api.client(null).raw('/health', { headers: { origin: APP } })
  expect(response.status).toBe(200)
  expect(response.headers.get('access-control-allow-origin')).toBeNull()
})

test('a preflight answers a configured origin without a key, and not another', async () => {
  const api = await startApi({ env: { CORS_ORIGINS: APP } })
  const preflight = (origin: string) =>
    api.client(null).raw('/api/v2/agents', {
      method: 'OPTIONS',
      headers: {
        origin,
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type,idempotency-key,x-confirm-purge',
      },
    })
  const good = await preflight(APP)
  expect(good.status).toBe(204)
  expect(good.headers.get('access-control-allow-origin')).toBe(APP)
  expect(good.headers.get('access-control-allow-methods')).toContain('POST')
  expect(good.headers.get('access-control-allow-methods')).toContain('PATCH')
  expect(good.headers.get('access-control-allow-headers')).toContain('Idempotency-Key')
  expect(good.headers.get('access-control-allow-headers')).toContain('X-Confirm-Purge')
  expect(good.headers.get('x-request-id')).not.toBeNull()
  expect((await preflight('https://evil.example')).headers.get('access-control-allow-origin')).toBeNull()
})

test('a browser may read errors, limit headers and the names of files of a configured origin', async () => {
  const api = await startApi({ env: { CORS_ORIGINS: APP } })
  const answers = await answersOfEveryKind(api, { origin: APP })
  for (const [status, { headers }] of answers) {
    expect.soft(headers.get('access-control-allow-origin'), `of ${status}`).toBe(APP)
    expect.soft(headers.get('access-control-expose-headers'), `of ${status}`).toContain('Retry-After')
    expect.soft(headers.get('access-control-expose-headers'), `of ${status}`).toContain('Content-Disposition')
    expect.soft(headers.get('vary'), `of ${status}`).toContain('Origin')
    expect.soft(headers.get('access-control-allow-credentials'), `of ${status}`).toBeNull()
  }
})
