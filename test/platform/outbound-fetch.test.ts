import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { isPublicAddress, type LookupAll } from '#platform/node/address-guard.ts'
import { guardedFetch } from '#platform/node/outbound-fetch.ts'
import { OutboundError } from '#ports/outbound-fetch.ts'

const FAR_AWAY = { timeoutMs: 5_000, maxBytes: 100_000, signal: new AbortController().signal }
const closing: (() => Promise<unknown> | unknown)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

describe('an address that is not public is refused', () => {
  let canary: Canary
  beforeEach(async () => {
    canary = await startCanary()
  })

  test.each(forbiddenHosts())('%s', async (host) => {
    const fetchOutside = openFetch()

    const error = await failure(fetchOutside(`http://${host}:${canary.port}/`, FAR_AWAY))

    expect(error.reason).toBe('refused')
    expect(error.message).not.toMatch(/\d/)
    expect(canary.connections()).toBe(0)
  })

  test.each(['localhost', 'LOCALHOST', 'localhost.'])('the name %s', async (host) => {
    const fetchOutside = openFetch()
    await failure(fetchOutside(`http://${host}:${canary.port}/`, FAR_AWAY)) // not every system knows `localhost.`
    expect(canary.connections()).toBe(0)
  })

  test.each([
    ['another scheme', 'file:///etc/passwd'],
    ['data', 'data:text/plain,hello'],
    ['credentials', 'http://example.com:80@127.0.0.1/'],
    ['a user only', 'http://example.com@127.0.0.1/'],
    ['an IPv6 zone', 'http://[fe80::1%25lo]/'],
    ['no address at all', 'not an address'],
  ])('%s', async (_title, url) => {
    const error = await failure(openFetch()(url, FAR_AWAY))
    expect(error.reason).toBe('refused')
  })

  test.each([
    '127.0.0.1',
    '::1',
    '::',
    '::7f00:1',
    '::ffff:127.0.0.1',
    '64:ff9b::7f00:1',
    'fe80::1%lo',
    '169.254.169.254',
    '10.0.0.1',
    '127.1',
    'not an address',
  ])('a name that resolves to %s', async (address) => {
    const fetchOutside = openFetch({ lookup: answering([address]) })

    const error = await failure(fetchOutside(`http://rebind.test:${canary.port}/`, FAR_AWAY))

    expect(error.reason).toBe('refused')
    expect(canary.connections()).toBe(0)
  })

  test('a name that has a public and an internal address', async () => {
    const fetchOutside = openFetch({ lookup: answering(['93.184.215.14', '127.0.0.1']) })
    const error = await failure(fetchOutside(`http://mixed.test:${canary.port}/`, FAR_AWAY))
    expect(error.reason).toBe('refused')
    expect(canary.connections()).toBe(0)
  })

  test('a redirect to any of them, from a host that may be reached', async () => {
    const targets = [...forbiddenHosts(), 'user@127.0.0.1'].map((host) => `http://${host}:${canary.port}/`)
    const site = await startSite((request, response) => {
      const target = targets[Number(request.url?.slice(1))] ?? ''
      response.writeHead(302, { location: Buffer.from(target).toString('latin1') }).end() // as raw UTF-8 bytes
    })
    const fetchOutside = openFetch({ allow: [site.host] })

    for (const number of targets.keys()) {
      const error = await failure(fetchOutside(`${site.url}/${number}`, FAR_AWAY))
      expect([targets[number], error.reason]).toEqual([targets[number], 'refused'])
    }
    expect(canary.connections()).toBe(0)
  })

  test('the same host as an allowed one at another port', async () => {
    const fetchOutside = openFetch({ allow: [`127.0.0.1:${canary.port + 1}`, '127.0.0.1'] })
    const error = await failure(fetchOutside(`http://127.0.0.1:${canary.port}/`, FAR_AWAY))
    expect(error.reason).toBe('refused')
    expect(canary.connections()).toBe(0)
  })
})

test('the connection goes to the address that was checked, not to a second answer', async () => {
  const canary = await startCanary()
  const attempts = watchConnectionAttempts()
  const answers = ['192.0.1.1', '127.0.0.1'] // the first is public by its number, and nobody's
  const fetchOutside = openFetch({
    lookup: (_hostname, _options, callback) => callback(null, [{ address: answers.shift() ?? '127.0.0.1', family: 4 }]),
  })
  const url = `http://rebind.test:${canary.port}/`

  const first = await failure(fetchOutside(url, { ...FAR_AWAY, timeoutMs: 300 }))
  const second = await failure(fetchOutside(url, { ...FAR_AWAY, timeoutMs: 300 }))

  expect(attempts).toEqual(['192.0.1.1'])
  expect(first.reason).not.toBe('refused')
  expect(first.message).not.toContain('192')
  expect(['refused', 'timeout']).toContain(second.reason) // a time-out while the first attempt still holds the line
  expect(canary.connections()).toBe(0)
})

test('public addresses are public', () => {
  const some = ['8.8.8.8', '1.1.1.1', '93.184.215.14', '2606:4700:4700::1111', '2a00:1450:4001::200e', '::ffff:8.8.8.8']
  expect(some.filter((address) => !isPublicAddress(address))).toEqual([])
})

describe('an allowed host', () => {
  test('is read, with an honest user agent and without cookies', async () => {
    const seen: IncomingMessage['headers'][] = []
    const site = await startSite((request, response) => {
      seen.push(request.headers)
      response.writeHead(200, { 'content-type': 'text/html; charset=utf-8', 'set-cookie': 'a=b' }).end('<p>hello')
    })
    const fetchOutside = openFetch({ allow: [site.host] })
    const headers = { accept: 'text/html', cookie: 'a=b', host: 'other.test', 'user-agent': 'Mozilla/5.0' }

    const answer = await fetchOutside(`${site.url}/page?q=1#part`, { ...FAR_AWAY, headers })

    expect(answer).toMatchObject({ status: 200, contentType: 'text/html; charset=utf-8', truncated: false })
    expect(answer.url).toBe(`${site.url}/page?q=1#part`)
    expect(new TextDecoder().decode(answer.bytes)).toBe('<p>hello')
    expect(seen[0]).toMatchObject({ accept: 'text/html', host: site.host, 'user-agent': 'desiAgent/0.1 (+fetchPage)' })
    expect(seen[0]).not.toHaveProperty('cookie')
  })

  test('may be a name, whatever that resolves to', async () => {
    const site = await startSite((_request, response) => response.end('inside'))
    const lookup = answering(['127.0.0.1'])
    const fetchOutside = openFetch({ allow: [`intranet.test:${site.port}`], lookup })

    const answer = await fetchOutside(`http://INTRANET.test:${site.port}/`, FAR_AWAY)

    expect(answer.status).toBe(200)
    expect((await failure(fetchOutside(`http://other.test:${site.port}/`, FAR_AWAY))).reason).toBe('refused')
  })

  test('redirects a few times, and the caller’s headers stay with the first origin', async () => {
    const seen: (string | undefined)[] = []
    const second = await startSite((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(404, { 'content-type': 'text/plain' }).end('gone')
    })
    const first = await startSite((request, response) => {
      seen.push(request.headers.authorization)
      response.writeHead(307, { location: request.url === '/a' ? '/b' : `${second.url}/c` }).end('moved')
    })
    const fetchOutside = openFetch({ allow: [first.host, second.host] })

    const answer = await fetchOutside(`${first.url}/a`, { ...FAR_AWAY, headers: { authorization: 'Bearer x' } })

    expect(answer).toMatchObject({ url: `${second.url}/c`, status: 404 })
    expect(seen).toEqual(['Bearer x', 'Bearer x', undefined])
  })

  test('redirects for ever', async () => {
    let requests = 0
    const site = await startSite((request, response) => {
      requests++
      response.writeHead(302, { location: request.url }).end()
    })
    const error = await failure(openFetch({ allow: [site.host] })(`${site.url}/loop`, FAR_AWAY))
    expect(error.reason).toBe('too_many_redirects')
    expect(requests).toBe(6)
  })

  test('is down', async () => {
    const site = await startSite((_request, response) => response.end())
    await closing.pop()?.()
    const error = await failure(openFetch({ allow: [site.host] })(site.url, FAR_AWAY))
    expect(error.reason).toBe('unreachable')
    expect(error.message).toBe('The address could not be read (ECONNREFUSED).')
  })
})

describe('an answer has limits', () => {
  test.each([
    ['shorter', 999, 999, false],
    ['as long as allowed', 1000, 1000, false],
    ['longer', 1001, 1000, true],
    ['much longer', 10_000_000, 1000, true],
  ])('a body that is %s', async (_title, sent, read, truncated) => {
    const site = await startSite((_request, response) => response.end(Buffer.alloc(sent, 'x')))
    const answer = await openFetch({ allow: [site.host] })(site.url, { ...FAR_AWAY, maxBytes: 1000 })
    expect([answer.bytes.byteLength, answer.truncated]).toEqual([read, truncated])
  })

  test('a gzip bomb is cut where it unpacks', async () => {
    const bomb = gzipSync(Buffer.alloc(200_000_000)) // 200 kB on the wire
    const site = await startSite((_request, response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(bomb)
    })
    const memoryBefore = process.memoryUsage().arrayBuffers

    const answer = await openFetch({ allow: [site.host] })(site.url, FAR_AWAY)

    expect([answer.bytes.byteLength, answer.truncated]).toEqual([100_000, true])
    expect(process.memoryUsage().arrayBuffers - memoryBefore).toBeLessThan(20_000_000)
  })

  test.each([
    ['never answers', (_response: ServerResponse) => {}],
    ['hangs in the middle of the body', (response: ServerResponse) => response.write('half of')],
    ['drips', (response: ServerResponse) => setInterval(() => response.write('.'), 20).unref()],
  ])('a server that %s', async (_title, answerWith) => {
    const site = await startSite((_request, response) => answerWith(response))
    const error = await failure(openFetch({ allow: [site.host] })(site.url, { ...FAR_AWAY, timeoutMs: 150 }))
    expect(error.reason).toBe('timeout')
  })

  test('a body that ends too early is not passed off as whole', async () => {
    const site = await startSite((_request, response) => {
      response.writeHead(200, { 'content-length': '100' }).write('half', () => response.destroy())
    })
    const error = await failure(openFetch({ allow: [site.host] })(site.url, FAR_AWAY))
    expect(error.reason).toBe('unreachable')
  })

  test.each(['before', 'while waiting', 'in the middle of the body'])('the caller aborts %s', async (when) => {
    const stop = new AbortController()
    const reason = new Error('the run was cancelled')
    const site = await startSite((_request, response) => {
      if (when === 'in the middle of the body') response.write('half of')
      setTimeout(() => stop.abort(reason), 50)
    })
    if (when === 'before') stop.abort(reason)

    const fetching = openFetch({ allow: [site.host] })(site.url, { ...FAR_AWAY, signal: stop.signal })

    await expect(fetching).rejects.toBe(reason)
  })
})

/** Every spelling leads to loopback or to another address that no tenant may reach. */
function forbiddenHosts(): string[] {
  const loopback = ['127.0.0.1', '127.1', '127.0.1', '127.255.255.254', '2130706433', '017700000001', '0x7f000001']
  const octalAndHex = [
    '0177.0.0.1',
    '0x7f.0.0.1',
    '0x7f.1',
    '0177.0x0.1',
    '127.0.0.1.',
    '%31%32%37.0.0.1',
    '127。0。0。1',
  ]
  const fullWidth = ['１２７.0.0.1', '①②⑦.0.0.1']
  const unspecified = ['0', '0.0.0.0', '0x0', '0.0.0.1', '[::]', '[0:0:0:0:0:0:0:0]']
  const ipv6Loopback = ['[::1]', '[0:0:0:0:0:0:0:1]', '[0000::0001]', '[::0.0.0.1]']
  const mapped = [
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[0:0:0:0:0:ffff:7f00:1]',
    '[::ffff:a9fe:a9fe]',
    '[::ffff:0:0]',
  ]
  const compatible = ['[::127.0.0.1]', '[::7f00:1]', '[::ffff:0:7f00:1]']
  const tunnels = [
    '[64:ff9b::7f00:1]',
    '[64:ff9b::a9fe:a9fe]',
    '[64:ff9b:1::7f00:1]',
    '[2002:7f00:1::]',
    '[2001::7f00:1]',
  ]
  const local = [
    '10.0.0.1',
    '172.16.0.1',
    '172.31.255.255',
    '192.168.0.1',
    '169.254.169.254',
    '100.64.0.1',
    '100.127.0.1',
  ]
  const special = [
    '192.0.0.1',
    '192.0.2.1',
    '198.18.0.1',
    '198.19.255.255',
    '198.51.100.1',
    '203.0.113.1',
    '192.88.99.1',
  ]
  const multicast = ['224.0.0.1', '239.255.255.255', '240.0.0.1', '255.255.255.255', '[ff02::1]', '[ff0e::1]']
  const ipv6Local = ['[fe80::1]', '[febf::1]', '[fec0::1]', '[fc00::1]', '[fd00:ec2::254]', '[2001:db8::1]', '[100::1]']
  const unassigned = ['[4000::1]', '[5f00::1]', '[1::1]', '[3fff::1]', '[2001:2::1]']
  return [
    ...[loopback, octalAndHex, fullWidth, unspecified, ipv6Loopback, mapped, compatible].flat(),
    ...[tunnels, local, special, multicast, ipv6Local, unassigned].flat(),
  ]
}

function openFetch(options: { allow?: string[]; lookup?: LookupAll } = {}) {
  const fetchOutside = guardedFetch({ allow: [], ...options })
  closing.push(() => fetchOutside.close())
  return fetchOutside
}

/** The error a fetch must end with; anything but an OutboundError fails the test. */
async function failure(fetching: Promise<unknown>): Promise<OutboundError> {
  const error = await fetching.then(
    () => 'it was read',
    (error: unknown) => error,
  )
  if (!(error instanceof OutboundError)) throw new Error(`Expected an OutboundError, got ${String(error)}`)
  return error
}

function answering(addresses: string[]): LookupAll {
  return (_hostname, _options, callback) =>
    callback(
      null,
      addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })),
    )
}

/** Collects the addresses that sockets of this process really go to. */
function watchConnectionAttempts(): string[] {
  const attempts: string[] = []
  const watch = (message: unknown) =>
    (message as { socket: Socket }).socket.on('connectionAttempt', (address) => attempts.push(address))
  subscribe('net.client.socket', watch)
  closing.push(() => unsubscribe('net.client.socket', watch))
  return attempts
}

interface Canary {
  port: number
  connections(): number
}

/** Listens on every loopback address, so that each spelling of it would arrive. */
async function startCanary(): Promise<Canary> {
  let connections = 0
  const server = createServer((_request, response) => response.end('reached'))
  server.on('connection', () => connections++)
  const port = await listen(server, '::')
  return { port, connections: () => connections }
}

async function startSite(answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const server = createServer(answer)
  const port = await listen(server, '127.0.0.1')
  return { port, host: `127.0.0.1:${port}`, url: `http://127.0.0.1:${port}` }
}

async function listen(server: Server, host: string): Promise<number> {
  await new Promise<void>((done) => server.listen(0, host, done))
  closing.push(() => {
    server.closeAllConnections()
    return new Promise((done) => server.close(done))
  })
  return (server.address() as AddressInfo).port
}
