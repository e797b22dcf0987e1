import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { bootstrap as runBootstrap } from '#src/cli/bootstrap.ts'
import { CommandError } from '#src/cli/command-error.ts'
import { startApi } from '#test/support/start-api.ts'
import { runNode, temporaryFolder } from './children.ts'

const ACME = ['--tenant', 'acme', '--admin-email', 'eve@acme.test']

const bootstrap = (dataDir: string, ...args: string[]) =>
  runNode(['src/cli.ts', 'bootstrap', ...args], {
    DESI_DATA_DIR: dataDir,
    API_KEY_BCRYPT_COST: '4',
    LOG_LEVEL: 'debug',
  })

test('bootstrap prints one JSON object with keys that work, and does so once', async () => {
  const dataDir = join(temporaryFolder(), 'new')
  const first = await bootstrap(dataDir, ...ACME, '--json')
  expect(first).toMatchObject({ code: 0, stderr: '' })
  expect(first.stdout).toMatch(/^\{.*\}\n$/)
  const made = JSON.parse(first.stdout)
  expect(made).toEqual({
    superAdminKey: expect.stringMatching(/^desi_sk_admin_/),
    tenant: { id: expect.any(String), slug: 'acme' },
    user: { id: expect.any(String), email: 'eve@acme.test' },
    apiKey: expect.stringMatching(/^desi_sk_live_/),
  })

  const again = await bootstrap(dataDir, ...ACME, '--json')
  expect(again).toEqual({
    code: 1,
    stdout: '',
    stderr: 'There already is a tenant acme. Use --rotate for a new key of its admin.\n',
  })

  const config = { API_KEY_BCRYPT_COST: '4' }
  const api = await startApi({ dataDir, env: config })
  const me = await api.client(made.apiKey).get('/auth/me')
  expect(me.body).toMatchObject({ id: made.user.id, role: 'admin', tenant: { id: made.tenant.id, slug: 'acme' } })
  expect(me.body.scopes).toEqual(['read', 'write', 'execute', 'admin'])
})

test('--rotate replaces the admin’s key while the server runs, and nothing else', async () => {
  const dataDir = temporaryFolder()
  const made = JSON.parse((await bootstrap(dataDir, ...ACME, '--json')).stdout)
  const api = await startApi({ dataDir })
  const before = api.client(made.apiKey)
  const { body: other } = await before.post('/auth/api-keys', { name: 'program', scopes: ['read'] })

  const { code, stdout } = await bootstrap(dataDir, ...ACME, '--json', '--rotate')

  expect(code).toBe(0)
  const rotated = JSON.parse(stdout)
  expect(rotated).toEqual({ ...made, superAdminKey: null, apiKey: expect.stringMatching(/^desi_sk_live_/) })
  expect((await before.get('/auth/me')).status).toBe(401)
  expect((await api.client(rotated.apiKey).get('/auth/me')).body.id).toBe(made.user.id)
  expect((await api.client(other.key).get('/auth/me')).status).toBe(200)
  expect((await api.superAdmin.get('/admin/tenants')).status).toBe(200)

  const stranger = await bootstrap(dataDir, '--tenant', 'acme', '--admin-email', 'mallory@acme.test', '--rotate')
  expect(stranger).toEqual({ code: 1, stdout: '', stderr: 'The tenant acme has no active admin mallory@acme.test.\n' })
  expect((await api.client(rotated.apiKey).get('/auth/me')).status).toBe(200)
})

test('a further tenant gets no super-admin key unless one asks for a new one', async () => {
  const dataDir = temporaryFolder()
  const first = JSON.parse((await bootstrap(dataDir, ...ACME, '--json')).stdout)
  const globex = ['--tenant', 'globex', '--admin-email', 'eve@globex.test', '--json']
  const second = JSON.parse((await bootstrap(dataDir, ...globex)).stdout)
  expect(second.superAdminKey).toBeNull()

  const third = await bootstrap(dataDir, ...globex, '--rotate', '--rotate-super-admin')
  const { superAdminKey } = JSON.parse(third.stdout)
  expect(superAdminKey).toMatch(/^desi_sk_admin_/)
  expect(superAdminKey).not.toBe(first.superAdminKey)

  // Asked of the server itself: the tests' own start would rotate the key once more.
  const { openApi } = await import('#src/node/api.ts')
  const { readConfig } = await import('#src/config.ts')
  const api = await openApi(readConfig({ DESI_DATA_DIR: dataDir, LOG_LEVEL: 'silent' }))
  const status = async (key: string) =>
    (await api.app.request('/api/v2/admin/tenants', { headers: { authorization: `Bearer ${key}` } }, {})).status
  expect([await status(superAdminKey), await status(first.superAdminKey)]).toEqual([200, 401])
  await api.close()
})

test('without --json a person reads the keys and that they are shown once', async () => {
  const { code, stdout } = await bootstrap(temporaryFolder(), ...ACME)
  expect(code).toBe(0)
  expect(stdout).toMatch(/^ {2}desi_sk_live_\w{50}$/m)
  expect(stdout).toMatch(/^ {2}desi_sk_admin_\w{50}$/m)
  expect(stdout).toContain('shown this once')
})

test('wrong arguments are one sentence and make nothing', async () => {
  const dataDir = temporaryFolder()
  const { code, stdout, stderr } = await bootstrap(dataDir, ...ACME, '--force')
  expect([code, stdout]).toEqual([1, ''])
  expect(stderr).toMatch(/^[^\n]*--force[^\n]*\n$/)
  expect(readdirSync(dataDir)).toEqual([])
})

test.each([
  { args: ['--tenant', 'Not A Slug', '--admin-email', 'a@b.test'], sentence: /^--tenant needs a slug/ },
  { args: ['--admin-email', 'a@b.test'], sentence: /^--tenant needs a slug/ },
  { args: ['--tenant', 'acme', '--admin-email', 'nobody'], sentence: /^--admin-email needs an e-mail address/ },
  { args: ['--tenant', 'acme'], sentence: /^--admin-email needs an e-mail address/ },
])('bootstrap $args says what is missing', async ({ args, sentence }) => {
  const thrown = await runBootstrap(args).catch((error: unknown) => error)
  expect(thrown).toBeInstanceOf(CommandError)
  expect((thrown as Error).message).toMatch(sentence)
})

test('a wrong configuration is one sentence without a stack', async () => {
  const { code, stdout, stderr } = await runNode(['src/cli.ts', 'bootstrap', ...ACME], {
    DESI_DATA_DIR: temporaryFolder(),
    API_KEY_BCRYPT_COST: 'secret',
  })
  expect({ code, stdout, stderr }).toEqual({
    code: 1,
    stdout: '',
    stderr: 'API_KEY_BCRYPT_COST is not a whole number.\n',
  })
})
