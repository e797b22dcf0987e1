import { expect, test } from 'vitest'
import { startApi } from '#test/support/start-api.ts'
import { collectLog, type LogLine } from './collect-log.ts'

const requests = (lines: LogLine[]) => lines.filter(({ message }) => message === 'request').map(({ fields }) => fields)

test('each request is one line with id, tenant, route and status', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({ overrides: { log } })
  const acme = await api.tenant('acme')
  lines.length = 0

  const { headers } = await acme.get('/agents?limit=1')

  expect(requests(lines)).toEqual([
    {
      requestId: headers.get('x-request-id'),
      tenantId: acme.tenantId,
      route: 'listAgents',
      method: 'GET',
      status: 200,
      durationMs: expect.any(Number),
    },
  ])
})

test('refused requests are logged too, one line each', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({ env: { CORS_ORIGINS: 'https://app.example' }, overrides: { log } })
  const acme = await api.tenant('acme')
  const broken = await api.tenant('broken')
  await api.api.stores.homes.use(broken.tenantId, (db) => db.destroy())
  lines.length = 0

  await acme.get(`/agents/${crypto.randomUUID()}`)
  await acme.get('/agents/1')
  await api.client(null).get('/agents')
  await api.client('garbage').get('/agents')
  await acme.get('/nowhere')
  await acme.call('PUT', '/agents')
  await acme.post('/agents', {}, { 'content-length': '99999999' })
  await acme.post('/agents', {}, { 'content-length': '99999999', origin: 'https://app.example' })
  await acme.raw('/api/v2/agents', {
    method: 'OPTIONS',
    headers: { origin: 'https://app.example', 'access-control-request-method': 'GET' },
  })
  await broken.get('/agents')

  expect(requests(lines).map(({ route, method, status }) => `${method} ${route} ${status}`)).toEqual([
    'GET getAgent 404',
    'GET getAgent 400',
    'GET listAgents 401',
    'GET listAgents 401',
    'GET unmatched 404',
    'PUT unmatched 405',
    'POST unmatched 413',
    'POST unmatched 413',
    'OPTIONS unmatched 204',
    'GET listAgents 500',
  ])
})

test('no line holds a key, a body or a query', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({ overrides: { log } })
  const acme = await api.tenant('acme')
  const { body: made } = await acme.post('/auth/api-keys', { name: 'second', scopes: ['read'] })
  await acme.post('/agents', { name: 'a', version: '1', systemPrompt: 'the-secret-prompt' })
  await acme.get('/agents?name=the-secret-name')
  await api.client('the-wrong-credential').get('/agents')
  await api.client(null).raw('/api/v2/agents?api_key=the-key-in-the-query')
  const { id } = await acme.run('Count the words of "a b c"')
  const { body: opened } = await acme.post(`/executions/${id}/stream-ticket`)
  await api.client(null).events(id, undefined, undefined, `?ticket=${opened.ticket}`)

  const written = JSON.stringify(lines)
  expect(requests(lines).length).toBeGreaterThanOrEqual(5)
  const secrets = [acme.key, made.key, api.superAdmin.key, opened.ticket]
  for (const secret of [...secrets, 'the-secret', 'the-wrong', 'the-key-in']) {
    expect(written).not.toContain(secret)
  }
})
