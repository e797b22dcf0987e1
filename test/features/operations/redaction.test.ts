import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { generateApiKey } from '#kit/crypto/api-key.ts'
import { pinoLog } from '#platform/node/pino-log.ts'
import { mailServer } from '#test/support/mail-server.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { bootstrapDataDir, type ServerProcess, startServerProcess } from '#test/support/server-process.ts'

const PROVIDER_KEY = 'sk-proj-Zx81providerKeyThatNobodyMayRead'
const SMTP_PASS = 'smtp"pass\\word-Zx82'
const IN_BODIES = 'hunter2-Zx83-written-in-a-body'
const ONE_STEP = planOf([{ id: '1', prompt: `log in with ${IN_BODIES}` }])

/** An error that quotes all it was given, as some providers do. */
const quoting = (status: number, call: ModelCall): Reply => ({
  status,
  body: { error: { message: `Bad key ${call.authorization}, prompt ${call.messages.join()}`, code: null, type: 'x' } },
})

const MISFORTUNES: ((call: ModelCall) => Reply)[] = [
  () => 'ok',
  (call) => quoting(400, call),
  (call) => quoting(401, call),
  (call) => quoting(402, call),
  (call) => quoting(429, call),
  (call) => quoting(500, call),
  () => 'garbage!',
  () => 'cut!',
]

interface Sent {
  key?: string
  authorization?: string
  body?: unknown
  headers?: Record<string, string>
}

/** Calls the server and counts the calls, whose lines the log must have. */
function callerOf(server: ServerProcess) {
  let count = 0
  return {
    get count() {
      return count
    },
    async send(method: string, path: string, { key, authorization, body, headers }: Sent = {}) {
      count += 1
      const credential = authorization ?? (key === undefined ? undefined : `Bearer ${key}`)
      const response = await fetch(`${server.url}${path}`, {
        method,
        headers: {
          ...(credential === undefined ? {} : { authorization: credential }),
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      })
      const text = await response.text()
      return {
        status: response.status,
        headers: response.headers,
        body: text.startsWith('{') ? JSON.parse(text) : text,
      }
    },
  }
}

type Send = ReturnType<typeof callerOf>['send']

const linesOf = ({ output }: ServerProcess) =>
  output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    // biome-ignore lint/suspicious/noExplicitAny: lines of every shape
    .map((line) => JSON.parse(line) as any)

/** A key like it, with another secret: it leads to the same row and does not match. */
function wrongKeyLike(key: string): string {
  const other = generateApiKey('live').key
  return key.slice(0, -38) + other.slice(-38)
}

async function useKeys(send: Send, admin: string): Promise<string[]> {
  const headers = { 'idempotency-key': 'create-once' }
  const wish = { key: admin, body: { name: 'second', scopes: ['read', 'write'] }, headers }
  const made = await send('POST', '/api/v2/auth/api-keys', wish)
  const again = await send('POST', '/api/v2/auth/api-keys', wish)
  expect([made.status, again.status, again.body.key]).toEqual([201, 201, made.body.key])
  const rotated = await send('POST', `/api/v2/auth/api-keys/${made.body.id}/rotate`, {
    key: admin,
    body: { overlapSeconds: 0 },
  })
  expect(rotated.status).toBe(201)
  expect((await send('DELETE', `/api/v2/auth/api-keys/${rotated.body.id}`, { key: admin })).status).toBe(204)
  expect((await send('GET', '/api/v2/agents', { key: rotated.body.key })).status).toBe(401)
  return [made.body.key, rotated.body.key]
}

/** Where keys have no business to be. */
async function misplaceKeys(send: Send, admin: string): Promise<string[]> {
  const wrong = [wrongKeyLike(admin), generateApiKey('live').key, generateApiKey('admin').key]
  for (const key of wrong) expect((await send('GET', '/api/v2/agents', { key })).status).toBe(401)
  const basic = Buffer.from(`user:${IN_BODIES}`).toString('base64')
  await send('GET', '/api/v2/agents', { authorization: `Basic ${basic}` })
  await send('GET', `/api/v2/agents?api_key=${admin}&password=${IN_BODIES}`)
  await send('GET', `/api/v2/agents/${admin}`, { key: admin })
  await send('GET', `/nowhere/${admin}/${IN_BODIES}`, { key: admin })
  await send('GET', '/api/v2/auth/me', { key: admin, headers: { 'x-request-id': admin } })
  await send('POST', '/api/v2/agents', { key: admin, body: `{"systemPrompt": "${IN_BODIES}", "key": "${admin}"` })
  await send('POST', '/api/v2/agents', { key: admin, body: { [IN_BODIES]: admin, systemPrompt: IN_BODIES } })
  await send('POST', '/api/v2/agents', { key: admin, body: IN_BODIES, headers: { 'content-type': 'text/plain' } })
  await send('POST', '/api/v2/users/invite/accept', { body: { token: `desi_inv_${IN_BODIES}` } })
  return [...wrong, basic]
}

/** A ticket stands in the URL, where logs like to look. */
async function useTickets(send: Send, admin: string, executionId: string): Promise<string[]> {
  const path = `/api/v2/executions/${executionId}`
  const made = await send('POST', `${path}/stream-ticket`, { key: admin })
  expect(made.status).toBe(201)
  const { ticket } = made.body as { ticket: string }
  const wrong = ticket.split('').reverse().join('')
  expect((await send('GET', `${path}/events?ticket=${ticket}`)).status).toBe(200)
  expect((await send('GET', `${path}/events?ticket=${wrong}`)).status).toBe(401)
  expect((await send('GET', `/api/v2/executions/${crypto.randomUUID()}/events?ticket=${ticket}`)).status).toBe(401)
  expect((await send('GET', `${path}?ticket=${ticket}`)).status).toBe(401)
  expect((await send('GET', `${path}/events?after=x&ticket=${ticket}`)).status).toBe(400)
  expect((await send('GET', `${path}/events`, { key: ticket })).status).toBe(401)
  return [ticket, wrong]
}

test('a full run at the most talkative level says no secret, and has a line for every request', async () => {
  let misfortune = MISFORTUNES[0] as (call: ModelCall) => Reply
  const model = await openAiServer((call) => misfortune(call))
  let isLoginGood = true
  const mail = await mailServer(undefined, {
    disabledCommands: ['STARTTLS'],
    allowInsecureAuth: true,
    onAuth: (login, _session, done) =>
      isLoginGood ? done(null, { user: login.username }) : done(new Error(`no login with ${login.password}`)),
  })
  const { dataDir, apiKey: admin, superAdminKey } = bootstrapDataDir()
  const server = await startServerProcess(dataDir, {
    ...model.env,
    ...mail.env,
    OPENAI_API_KEY: PROVIDER_KEY,
    SMTP_USER: 'mailer',
    SMTP_PASS,
    LOG_LEVEL: 'debug',
    MAX_OPEN_TENANTS: '1',
    RETRY_BASE_MS: '5',
    RATE_LIMIT_AUTH_PER_MINUTE: '1000',
    RATE_LIMIT_EXECUTE_PER_MINUTE: '1000',
  })
  const caller = callerOf(server)
  const { send } = caller
  const secrets = [admin, superAdminKey, PROVIDER_KEY, SMTP_PASS, IN_BODIES]
  secrets.push(...(await useKeys(send, admin)), ...(await misplaceKeys(send, admin)))

  const invite = (email: string) =>
    send('POST', '/api/v2/users/invite', { key: admin, body: { email, role: 'member' } })
  expect((await invite('new@acme.test')).status).toBe(201)
  const token = /desi_inv_\w+/.exec(mail.mails[0]?.text ?? '')?.[0] as string
  const accepted = await send('POST', '/api/v2/users/invite/accept', { body: { token, name: 'New' } })
  expect(accepted.status).toBe(201)
  isLoginGood = false
  expect((await invite('other@acme.test')).status).toBe(502)
  secrets.push(token, accepted.body.apiKey.key)

  for (const next of MISFORTUNES) {
    misfortune = next
    const { status, body } = await send('POST', '/api/v2/dags/execute-definition', {
      key: admin,
      body: { definition: ONE_STEP },
    })
    expect(status).toBe(202)
    await send('GET', `/api/v2/executions/${body.id}/events`, { key: admin })
    secrets.push(...(await useTickets(send, admin, body.id)))
    await send('POST', '/api/v2/create-execute', { key: admin, body: { goalText: `use ${IN_BODIES} to log in` } })
  }
  expect(new Set(model.calls.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${PROVIDER_KEY}`]))

  const made = await send('POST', '/api/v2/admin/tenants', {
    key: superAdminKey,
    body: { slug: 'broken', name: 'Broken', admin: { email: 'admin@broken.test' } },
  })
  expect(made.status).toBe(201)
  secrets.push(made.body.apiKey)
  await send('GET', '/api/v2/auth/me', { key: admin }) // the one tenant held open from now on
  writeFileSync(join(dataDir, 'tenants', made.body.tenant.id, 'agent.db'), 'this was a database once')
  expect((await send('GET', '/api/v2/agents', { key: made.body.apiKey })).status).toBe(500)
  expect((await send('GET', '/health/ready')).status).toBe(503)
  expect((await send('GET', '/metrics', { key: superAdminKey })).status).toBe(200)
  const me = await send('GET', '/api/v2/auth/me', { key: admin })
  await server.stop()
  await server.ended()

  expect(secrets.filter((secret) => typeof secret !== 'string' || secret.length < 8)).toEqual([])
  const lines = linesOf(server)
  for (const secret of secrets) {
    expect(server.output).not.toContain(secret)
    expect(server.output).not.toContain(JSON.stringify(secret).slice(1, -1))
    if (secret.startsWith('desi_')) expect(server.output).not.toContain(secret.slice(-38)) // the part nobody shows
  }
  for (const level of ['info', 'warn', 'error']) expect(lines.map((line) => line.level)).toContain(level)

  const requests = lines.filter(({ msg }) => msg === 'request')
  expect(requests).toHaveLength(caller.count)
  for (const line of requests) {
    expect(line).toMatchObject({
      level: 'info',
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/),
      requestId: expect.any(String),
      route: expect.stringMatching(/^\w+$/),
      method: expect.stringMatching(/^[A-Z]+$/),
      status: expect.any(Number),
      durationMs: expect.any(Number),
    })
  }
  expect(requests.find(({ requestId }) => requestId === me.headers.get('x-request-id'))).toMatchObject({
    route: 'getMe',
    status: 200,
    tenantId: me.body.tenant.id,
  })
  const unexpected = lines.filter(({ msg }) => msg === 'unexpected error')
  expect(unexpected.map(({ requestId }) => requestId)).toEqual(
    requests.filter(({ status }) => status === 500).map(({ requestId }) => requestId),
  )
}, 90_000)

test('whatever is handed to the log, its secrets are cut out of fields, messages, stacks and causes', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'desi-log-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const file = join(folder, 'log')
  const descriptor = openSync(file, 'w')
  const { key } = generateApiKey('live')
  const secrets = [PROVIDER_KEY, SMTP_PASS]
  const log = pinoLog('debug', descriptor, [...secrets, 'ok'])
  const cause = Object.assign(new Error(`refused ${SMTP_PASS}`), { code: 'EAUTH' })

  log.error({ err: new Error(`${PROVIDER_KEY} and ${key}`, { cause }) }, `called with ${PROVIDER_KEY}`)
  log.debug({ deep: { inside: [{ text: `Bearer ${key}` }], [PROVIDER_KEY]: SMTP_PASS } }, 'it is ok')
  await expect.poll(() => readFileSync(file, 'utf8').split('\n')).toHaveLength(3)
  closeSync(descriptor)

  const written = readFileSync(file, 'utf8')
  for (const secret of [...secrets, key, JSON.stringify(SMTP_PASS).slice(1, -1)]) expect(written).not.toContain(secret)
  const [error, debug] = written
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(error).toMatchObject({
    level: 'error',
    msg: 'called with [cut]',
    err: { message: '[cut] and desi_sk_[cut]', cause: { message: 'refused [cut]', code: 'EAUTH' } },
  })
  expect(error.err.stack).toContain('redaction.test.ts')
  expect(debug).toMatchObject({
    msg: 'it is ok',
    deep: { inside: [{ text: 'Bearer desi_sk_[cut]' }], '[cut]': '[cut]' },
  })
})
