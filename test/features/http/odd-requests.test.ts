import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BASE_PATH, contracts } from '#src/contracts.ts'
import type { Client } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'
import { collectLog } from './collect-log.ts'

// Event streams of running work would stay open; everything else answers and is done.
const routes = contracts.filter(({ operationId }) => operationId !== 'followExecution')

const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 40 }), fc.string({ maxLength: 10 }), fc.uuid())
const oddSegment = fc.oneof(
  text.map((value) => encodeURIComponent(value.toWellFormed())),
  fc.constantFrom('%', '%zz', '%ff', '%00', '..', '%2e%2e', '%2F', ';', "'", '*', '[', 'undefined', 'constructor'),
)
const query = fc.oneof(
  fc.constant(''),
  fc
    .array(fc.tuple(fc.constantFrom('limit', 'offset', 'cursor', 'includeTotal', 'status', 'name', 'dagId'), text), {
      maxLength: 3,
    })
    .map(
      (pairs) =>
        `?${new URLSearchParams(pairs.map(([name, value]): [string, string] => [name, value.toWellFormed()]))}`,
    ),
  fc.constantFrom('?', '?&&', '?=', '?limit', '?limit=%', '?cursor=%ff', '?__proto__=1', '?limit[]=1'),
)
const field = fc.constantFrom(
  'name',
  'version',
  'systemPrompt',
  'metadata',
  'constraints',
  'scopes',
  'goalText',
  'inputs',
  'definition',
  'title',
  'plan',
  'userResponse',
  'slug',
  'admin',
  'expiresAt',
  'temperature',
  '__proto__',
  'constructor',
)
const body = fc.oneof(
  fc.json(),
  fc.dictionary(field, fc.oneof(fc.jsonValue(), text, fc.double())).map((value) => JSON.stringify(value)),
  fc.constantFrom(
    '{"__proto__":{"a":1}}',
    '{"name":null}',
    '['.repeat(5_000),
    '{"a":'.repeat(500),
    '1e999',
    '"\\ud800"',
    '\u0000',
  ),
)

test('no request, however odd, is answered with a 500', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({ overrides: { log } })
  const callers = [await api.tenant('acme'), api.superAdmin] as Client[]
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...routes),
      fc.constantFrom(...callers),
      oddSegment,
      query,
      body,
      async (route, caller, segment, search, content) => {
        const path = route.path.replaceAll(/\{\w+\}/g, () => segment)
        const hasBody = route.method !== 'get' && route.method !== 'delete'
        const response = await caller.raw((route.isAtRoot ? '' : BASE_PATH) + path + search, {
          method: route.method.toUpperCase(),
          headers: { 'content-type': 'application/json' },
          ...(hasBody ? { body: content } : {}),
        })
        await response.body?.cancel()
        expect(response.status).toBeLessThan(500)
      },
    ),
    { numRuns: 1_500 },
  )
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
})

test('odd headers are no reason for a 500', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({
    env: { TRUSTED_PROXIES: '192.0.2.1', CORS_ORIGINS: 'https://a.example' },
    overrides: { log },
  })
  const acme = await api.tenant('acme')
  const names = [
    'authorization',
    'x-forwarded-for',
    'x-request-id',
    'origin',
    'idempotency-key',
    'content-type',
    'content-length',
    'last-event-id',
    'accept',
    'access-control-request-method',
  ]
  const value = fc.string({
    unit: fc.integer({ min: 33, max: 255 }).map((code) => String.fromCharCode(code)),
    maxLength: 300,
  })
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom(...names),
      value,
      fc.constantFrom('GET', 'POST', 'OPTIONS', 'HEAD'),
      async (name, odd, method) => {
        const withBody = method === 'POST' ? { body: '{"name":"a","version":"1","systemPrompt":"x"}' } : {}
        const response = await acme.raw('/api/v2/agents', {
          method,
          headers: { 'content-type': 'application/json', [name]: odd },
          ...withBody,
        })
        await response.body?.cancel()
        expect(response.status).toBeLessThan(500)
      },
    ),
    { numRuns: 400 },
  )
  expect(lines.filter(({ level }) => level === 'error')).toEqual([])
})

test('a body may not reach into the prototypes of objects', async () => {
  const acme = await (await startApi()).tenant('acme')
  const raw = '{"name":"a","version":"1","systemPrompt":"x","metadata":{"__proto__":{"isActive":true},"constructor":1}}'
  const { status, body } = await acme.call('POST', '/agents', raw)
  expect([200, 201, 400]).toContain(status)
  expect(({} as Record<string, unknown>).isActive).toBeUndefined()
  if (status === 201) expect(body.isActive).toBe(false)
})

test('text that no database gives back as it was is refused, with the name of its field', async () => {
  const acme = await (await startApi()).tenant('acme')
  const agent = { name: 'a', version: '1', systemPrompt: 'x' }
  const bodies: [object, string][] = [
    [{ ...agent, systemPrompt: 'a\0b' }, 'systemPrompt'],
    [{ ...agent, systemPrompt: '\ud800' }, 'systemPrompt'],
    [{ ...agent, metadata: { deep: [{ er: '\udc00x' }] } }, 'metadata.deep.0.er'],
    [{ ...agent, metadata: { 'k\0ey': 1 } }, 'metadata.key'],
  ]
  for (const [body, path] of bodies) {
    const { status, body: answer } = await acme.post('/agents', body)
    expect([status, answer.code, answer.details[0].path]).toEqual([400, 'validation_failed', path])
  }
  expect((await acme.get('/dags?agentName=a%00b')).status).toBe(400)
  const whole = { ...agent, systemPrompt: '🚀 \\u0000 \\ud800' }
  expect((await acme.post('/agents', whole)).body.systemPrompt).toBe(whole.systemPrompt)
})

test('a body that is nested as deep as it may be long is judged at once', async () => {
  const api = await startApi()
  const depth = 400_000
  const body = `{"token":${'['.repeat(depth)}"\\u0041"${']'.repeat(depth)}}`
  const { status } = await api.client(null).post('/users/invite/accept', body)
  expect(status).toBe(400)
})
