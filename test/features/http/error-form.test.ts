import { expect, test } from 'vitest'
import type { Answer } from '#test/support/client.ts'
import { startApi } from '#test/support/start-api.ts'

const AGENT = { name: 'writer', version: '1', systemPrompt: 'Write.' }

/** Every error answer has one form; this is it. */
function expectError({ status, body, headers }: Answer, statusCode: number, error: string, code: string): void {
  expect(status).toBe(statusCode)
  expect(headers.get('content-type')).toMatch(/^application\/json/)
  expect(body).toEqual({
    statusCode,
    error,
    code,
    message: expect.stringMatching(/\S.*[.…]$/),
    details: body.details,
    requestId: headers.get('x-request-id'),
  })
  const { details } = body
  expect(details === null || typeof details === 'object').toBe(true)
}

test('a body that is not JSON is refused as malformed', async () => {
  const acme = await (await startApi()).tenant('acme')
  for (const text of ['{"name":', '{', '', 'undefined', "{'name':1}"]) {
    const answer = await acme.call('POST', '/agents', text)
    expectError(answer, 400, 'Bad Request', 'malformed_json')
  }
})

test('a body of another content type is refused', async () => {
  const acme = await (await startApi()).tenant('acme')
  for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'application/jsonx']) {
    const answer = await acme.call('POST', '/agents', JSON.stringify(AGENT), { 'content-type': type })
    expectError(answer, 415, 'Unsupported Media Type', 'unsupported_media_type')
  }
})

test('JSON with a charset is JSON', async () => {
  const acme = await (await startApi()).tenant('acme')
  const type = { 'content-type': 'Application/JSON; charset=utf-8' }
  expect((await acme.post('/agents', AGENT, type)).status).toBe(201)
})

test('a missing body is refused and makes nothing', async () => {
  const acme = await (await startApi()).tenant('acme')
  const answer = await acme.post('/agents')
  expect(answer.status).toBeGreaterThanOrEqual(400)
  expect(answer.status).toBeLessThan(500)
  expectError(answer, answer.status, answer.body.error, answer.body.code)
})

test('a body that is JSON but no object is refused', async () => {
  const acme = await (await startApi()).tenant('acme')
  for (const text of ['null', '[]', '"text"', '1']) {
    expectError(await acme.call('POST', '/agents', text), 400, 'Bad Request', 'validation_failed')
  }
})

test('each wrong field is named by its path', async () => {
  const acme = await (await startApi()).tenant('acme')
  const answer = await acme.post('/agents', { ...AGENT, name: '1', constraints: { temperature: 9 } })
  expectError(answer, 400, 'Bad Request', 'validation_failed')
  expect(answer.body.details.map(({ path }: { path: string }) => path)).toEqual(['name', 'constraints.temperature'])
})

test('an unknown field is refused and named', async () => {
  const acme = await (await startApi()).tenant('acme')
  const answer = await acme.post('/agents', { ...AGENT, isActive: true })
  expectError(answer, 400, 'Bad Request', 'validation_failed')
  expect(JSON.stringify(answer.body.details)).toContain('isActive')
  const nested = await acme.post('/agents', { ...AGENT, constraints: { temprature: 1 } })
  expectError(nested, 400, 'Bad Request', 'validation_failed')
  expect(nested.body.details).toEqual([{ path: 'constraints', message: expect.stringContaining('temprature') }])
})

test('a route that is not there is a 404 of its own', async () => {
  const api = await startApi()
  for (const path of ['/api/v2/nothing', '/', '/api/v2', '/api/v2/agents/a/b/c/d', '/api/v2/%00', '/api/v2/agents/']) {
    const response = await api.client(null).raw(path)
    const answer = { status: response.status, body: await response.json(), headers: response.headers }
    expectError(answer, 404, 'Not Found', 'route_not_found')
  }
})

test('a wrong method is told which are right', async () => {
  const acme = await (await startApi()).tenant('acme')
  const answer = await acme.call('PUT', '/agents')
  expectError(answer, 405, 'Method Not Allowed', 'method_not_allowed')
  expect(answer.headers.get('allow')?.split(', ').toSorted()).toEqual(['GET', 'HEAD', 'POST'])
  expect(answer.body.details.allowed.toSorted()).toEqual(['GET', 'HEAD', 'POST'])
  const byId = await acme.call('PUT', `/agents/${crypto.randomUUID()}`)
  expect(byId.headers.get('allow')?.split(', ').toSorted()).toEqual(['DELETE', 'GET', 'HEAD', 'PATCH'])
})

test.each([
  ['limit=0', 'limit'],
  ['limit=101', 'limit'],
  ['limit=1.5', 'limit'],
  ['limit=', 'limit'],
  ['limit=ten', 'limit'],
  ['limit=1&limit=2', 'limit'],
  ['offset=-1', 'offset'],
  ['offset=1000001', 'offset'],
  ['includeTotal=yes', 'includeTotal'],
  ['cursor=junk', 'cursor'],
  ['cursor=', 'cursor'],
  [`cursor=${btoa('["2026-01-01T00:00:00.000Z","not-an-id"]')}`, 'cursor'],
  [`cursor=${'a'.repeat(300)}`, 'cursor'],
])('the query %s is refused', async (query, path) => {
  const acme = await (await startApi()).tenant('acme')
  const answer = await acme.get(`/agents?${query}`)
  expectError(answer, 400, 'Bad Request', 'validation_failed')
  expect(answer.body.details[0].path).toBe(path)
})

test('an unknown query parameter is refused, so that a typo does not answer everything', async () => {
  const acme = await (await startApi()).tenant('acme')
  for (const list of ['/agents', '/dags', '/executions', '/auth/api-keys']) {
    const answer = await acme.get(`${list}?limt=5`)
    expectError(answer, 400, 'Bad Request', 'validation_failed')
    expect(JSON.stringify(answer.body.details)).toContain('limt')
  }
})

test('cursor and offset together are refused', async () => {
  const acme = await (await startApi()).tenant('acme')
  const { body } = await acme.get('/agents?limit=1')
  const answer = await acme.get(`/agents?offset=1&cursor=${body.pagination.nextCursor}`)
  expectError(answer, 400, 'Bad Request', 'validation_failed')
  expect(answer.body.details[0].path).toBe('cursor')
})

test('an id that is no UUID is refused', async () => {
  const acme = await (await startApi()).tenant('acme')
  for (const id of ['1', 'abc', '%27%20or%201=1', `${crypto.randomUUID()}x`]) {
    const answer = await acme.get(`/agents/${id}`)
    expectError(answer, 400, 'Bad Request', 'validation_failed')
    expect(answer.body.details[0].path).toBe('id')
  }
})

test('missing and wrong credentials have the same form and name the scheme', async () => {
  const api = await startApi()
  const none = await api.client(null).get('/agents')
  expectError(none, 401, 'Unauthorized', 'unauthenticated')
  expect(none.headers.get('www-authenticate')).toBe('Bearer')
  const garbage = await api.client('garbage').get('/agents')
  expectError(garbage, 401, 'Unauthorized', 'invalid_api_key')
  expect(garbage.headers.get('www-authenticate')).toBe('Bearer')
})

test('what is not there is a 404 of the one form', async () => {
  const acme = await (await startApi()).tenant('acme')
  expectError(await acme.get(`/agents/${crypto.randomUUID()}`), 404, 'Not Found', 'agent_not_found')
})
