import { request } from 'node:http'
import { expect, onTestFinished, test } from 'vitest'
import { listen } from '#platform/node/http-server.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const LIMIT = { BODY_LIMIT_BYTES: '1000' }
const TOO_LARGE = {
  statusCode: 413,
  error: 'Content Too Large',
  code: 'payload_too_large',
  details: { limitBytes: 1000 },
}

/** Listens on a real socket, where bodies come as the network brings them. */
async function listening(api: TestApi): Promise<number> {
  const server = await listen(api.api.app, '127.0.0.1', 0)
  onTestFinished(() => server.stop(0))
  return Number(new URL(server.url).port)
}

/** Sends chunks without announcing how many. */
function sendChunks(port: number, key: string | null, chunks: string[]): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const call = request({ port, host: '127.0.0.1', method: 'POST', path: '/api/v2/agents' }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    call.on('error', reject)
    call.setHeader('content-type', 'application/json')
    call.setHeader('transfer-encoding', 'chunked')
    if (key) call.setHeader('authorization', `Bearer ${key}`)
    for (const chunk of chunks) call.write(chunk)
    call.end()
  })
}

const agent = (promptLength: number) =>
  JSON.stringify({ name: 'writer', version: '1', systemPrompt: 'x'.repeat(promptLength) })

test('a body announced as too large is refused before it is read', async () => {
  const api = await startApi({ env: LIMIT })
  const acme = await api.tenant('acme')
  const { status, body, headers } = await acme.post('/agents', {}, { 'content-length': '1001' })
  expect(status).toBe(413)
  expect(body).toMatchObject({ ...TOO_LARGE, requestId: headers.get('x-request-id') })
})

test('a body that turns out too large on the way is refused', async () => {
  const api = await startApi({ env: LIMIT })
  const acme = await api.tenant('acme')
  const port = await listening(api)
  const { status, text } = await sendChunks(port, acme.key, [agent(500), ' '.repeat(600)])
  expect(status).toBe(413)
  expect(JSON.parse(text)).toMatchObject(TOO_LARGE)
})

test('a streamed body within the limit is taken', async () => {
  const api = await startApi({ env: LIMIT })
  const acme = await api.tenant('acme')
  const port = await listening(api)
  const whole = agent(500)
  const { status } = await sendChunks(port, acme.key, [whole.slice(0, 100), whole.slice(100)])
  expect(status).toBe(201)
})

test('a body without any announcement is held to the limit too', async () => {
  const api = await startApi({ env: LIMIT })
  const acme = await api.tenant('acme')
  const answer = await acme.call('POST', '/agents', agent(2_000))
  expect(answer.status).toBe(413)
  expect(answer.body).toMatchObject(TOO_LARGE)
})

test('a large body is refused over a socket with its length announced', async () => {
  const api = await startApi({ env: LIMIT })
  const acme = await api.tenant('acme')
  const port = await listening(api)
  const response = await fetch(`http://127.0.0.1:${port}/api/v2/agents`, {
    method: 'POST',
    headers: { authorization: `Bearer ${acme.key}`, 'content-type': 'application/json' },
    body: agent(2_000),
  })
  expect(response.status).toBe(413)
})
