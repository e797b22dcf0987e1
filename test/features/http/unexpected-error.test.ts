import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test, vi } from 'vitest'
import { bcryptHasher } from '#kit/crypto/secret-hash.ts'
import { pinoLog } from '#platform/node/pino-log.ts'
import { startApi } from '#test/support/start-api.ts'
import { collectLog } from './collect-log.ts'

test('a broken database is a 500 that tells the request id and nothing else', async () => {
  const { log, lines } = collectLog()
  const api = await startApi({ overrides: { log } })
  const acme = await api.tenant('acme')
  await api.api.stores.homes.use(acme.tenantId, (db) => db.destroy())

  const { status, body, headers } = await acme.get('/agents')

  expect(status).toBe(500)
  expect(body).toEqual({
    statusCode: 500,
    error: 'Internal Server Error',
    code: 'internal_error',
    message: 'Something went wrong on our side.',
    details: null,
    requestId: headers.get('x-request-id'),
  })
  const [line] = lines.filter(({ level }) => level === 'error')
  expect(line?.fields).toMatchObject({ requestId: body.requestId, err: expect.any(Error) })
})

test('other tenants do not notice the broken database of one', async () => {
  const api = await startApi()
  const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
  await api.api.stores.homes.use(acme.tenantId, (db) => db.destroy())
  expect((await acme.get('/agents')).status).toBe(500)
  expect((await globex.get('/agents')).status).toBe(200)
})

test('the log line of an unexpected error holds no key, even when the error does', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'desi-log-'))
  const file = join(folder, 'log')
  const descriptor = openSync(file, 'w')
  onTestFinished(() => {
    closeSync(descriptor)
    rmSync(folder, { recursive: true })
  })
  const hasher = {
    ...bcryptHasher(4),
    matches: async (secret: string) => {
      if (!secret.startsWith('desi_sk_admin_')) throw new TypeError(`cannot compare ${secret}`)
      return true
    },
  }
  const api = await startApi({ overrides: { hasher, log: pinoLog('info', descriptor) } })
  const acme = await api.tenant('acme')

  const { status, body } = await acme.get('/agents')

  expect(status).toBe(500)
  expect(JSON.stringify(body)).not.toContain('compare')
  const written = () => readFileSync(file, 'utf8')
  await vi.waitFor(() => expect(written()).toContain('"status":500'))
  const lines = written()
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  const [line] = lines.filter(({ msg }) => msg === 'unexpected error')
  expect(line).toMatchObject({ level: 'error', requestId: body.requestId, err: { type: 'TypeError' } })
  expect(written()).not.toContain(acme.key as string)
  expect(written()).not.toContain((acme.key as string).slice(25, 57))
})

test('a service that failed once works the next time', async () => {
  let isBroken = false
  const real = bcryptHasher(4)
  const hasher = {
    ...real,
    matches: (secret: string, hash: string) =>
      isBroken ? Promise.reject(new Error('no memory')) : real.matches(secret, hash),
  }
  const api = await startApi({ overrides: { hasher } })
  const acme = await api.tenant('acme')
  isBroken = true
  expect((await acme.get('/agents')).status).toBe(500)
  isBroken = false
  expect((await acme.get('/agents')).status).toBe(200)
})
