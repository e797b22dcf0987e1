import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestHarness } from 'wrangler'
import { describeApi } from '#src/openapi.ts'

const server = createTestHarness({ workers: [{ configPath: './wrangler.toml' }] })
beforeAll(() => server.listen())
afterAll(() => server.close())

test('the Worker is alive, here and at the root', async () => {
  for (const path of ['/health', '/api/v2/health']) {
    const response = await server.fetch(path)
    expect(response.status).toBe(200)
    expect(await response.json()).toMatchObject({ status: 'ok', uptime: expect.any(Number) })
    expect(response.headers.get('x-request-id')).toMatch(/^[\w-]{36}$/)
    expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  }
})

test('its clock runs and its uptime counts from the first request, not from 1970', async () => {
  const { uptime, timestamp } = (await (await server.fetch('/health')).json()) as { uptime: number; timestamp: string }

  expect(uptime).toBeLessThan(300)
  expect(Math.abs(Date.parse(timestamp) - Date.now())).toBeLessThan(60_000)
})

test('it does not call itself ready while it serves no tenants', async () => {
  const response = await server.fetch('/health/ready')

  expect(response.status).toBe(503)
  expect(await response.json()).toMatchObject({
    status: 'not_ready',
    dependencies: { tenants: 'failed' },
    provider: 'offline',
    model: 'offline-1',
  })
})

test('a route that needs a tenant answers 503 in the one error form, whatever the credential and the body', async () => {
  const calls: [string, RequestInit][] = [
    ['/api/v2/auth/me', { headers: { authorization: 'Bearer desi_sk_live_anything' } }],
    ['/api/v2/admin/tenants', {}],
    ['/api/v2/dags', { method: 'POST', body: 'not JSON' }],
    ['/api/v2/executions/1/events', {}],
  ]
  for (const [path, init] of calls) {
    const response = await server.fetch(path, init as never)
    expect(response.status).toBe(503)
    expect(await response.json()).toEqual({
      statusCode: 503,
      error: 'Service Unavailable',
      code: 'tenants_not_served',
      message: 'Tenants are not served on Workers yet; only health and the documentation are.',
      details: null,
      requestId: response.headers.get('x-request-id'),
    })
  }
})

test('a route that does not exist is a 404 in the one error form', async () => {
  for (const path of ['/nothing', '/api/v2/nothing', '/swagger-ui.css']) {
    const response = await server.fetch(path)
    expect(response.status).toBe(404)
    expect(await response.json()).toMatchObject({ statusCode: 404, code: 'route_not_found', details: null })
  }
})

test('a method that a route does not answer to is a 405 that names those it does', async () => {
  const response = await server.fetch('/api/v2/auth/me', { method: 'DELETE' })

  expect(response.status).toBe(405)
  expect(response.headers.get('allow')).toBe('GET, HEAD')
  expect(await response.json()).toMatchObject({ code: 'method_not_allowed', details: { allowed: ['GET', 'HEAD'] } })
})

test('it publishes the same description as every other home of the product', async () => {
  const response = await server.fetch('/api/v2/openapi.json')

  expect(response.status).toBe(200)
  expect(await response.json()).toEqual(JSON.parse(JSON.stringify(describeApi())))
})

test('the documentation page comes with its files, and only with those', async () => {
  const page = await server.fetch('/api/v2/docs')
  expect(page.status).toBe(200)
  expect(await page.text()).toContain('/api/v2/docs/swagger-ui-bundle.js')

  const script = await server.fetch('/api/v2/docs/swagger-ui-bundle.js')
  expect(script.status).toBe(200)
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
  expect(await script.text()).toContain('SwaggerUIBundle')

  expect((await server.fetch('/api/v2/docs/package.json')).status).toBe(404)
})

test('it writes one line for a request, without the key that came with it', async () => {
  server.clearLogs()
  await server.fetch('/api/v2/auth/me', { headers: { authorization: 'Bearer desi_sk_live_secret' } })

  await expect.poll(() => server.getLogs().length).toBe(1)
  const [line] = server.getLogs()
  expect(JSON.parse(line?.message ?? '')).toMatchObject({
    level: 'info',
    msg: 'request',
    route: 'getMe',
    method: 'GET',
    status: 503,
  })
  expect(line?.message).not.toContain('secret')
})
