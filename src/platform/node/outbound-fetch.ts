import { Agent, fetch, Headers, type Response } from 'undici'
import { type OutboundAnswer, OutboundError, type OutboundFetch, type OutboundOptions } from '#ports/outbound-fetch.ts'
import { guardedConnector, type LookupAll } from './address-guard.ts'

interface GuardedFetchOptions {
  /**
   * Exact `host:port` entries that may be reached whatever their address is, e.g. `127.0.0.1:4567` or `[::1]:4567`;
   * spelled as in a parsed URL.
   */
  allow: readonly string[]
  /** Replaces the system's resolver; for tests. */
  lookup?: LookupAll
}

const MAX_REDIRECTS = 5
const REDIRECTS = new Set([301, 302, 303, 307, 308])
const USER_AGENT = 'desiAgent/0.1 (+fetchPage)'

/**
 * Node's `OutboundFetch`. `timeoutMs` covers everything from the first lookup to the last byte, and `maxBytes` counts
 * after decompression. An abort of the caller's signal is thrown on as the signal's own reason.
 *
 * The caller owns it: `close` cuts whatever is still open.
 */
export function guardedFetch(options: GuardedFetchOptions): OutboundFetch & { close(): Promise<void> } {
  const agent = new Agent({ connect: guardedConnector(options) })

  async function fetchOutside(url: string, options: OutboundOptions): Promise<OutboundAnswer> {
    const timeout = AbortSignal.timeout(options.timeoutMs)
    try {
      return await readPage(agent, url, { ...options, signal: AbortSignal.any([options.signal, timeout]) })
    } catch (error) {
      if (options.signal.aborted) throw options.signal.reason
      if (timeout.aborted) throw new OutboundError('timeout', `No complete answer within ${options.timeoutMs} ms.`)
      throw asOutboundError(error)
    }
  }

  return Object.assign(fetchOutside, { close: () => agent.destroy() })
}

async function readPage(agent: Agent, start: string, options: OutboundOptions): Promise<OutboundAnswer> {
  const { response, url } = await followRedirects(agent, start, options)
  const body = await readUpTo(response.body, options.maxBytes)
  return { url: url.href, status: response.status, contentType: response.headers.get('content-type') ?? '', ...body }
}

/** Redirects are followed here and not by `fetch`, so that each target passes `checkedUrl` and loses the headers. */
async function followRedirects(agent: Agent, start: string, { signal, headers }: OutboundOptions) {
  const first = checkedUrl(start)
  let url = first
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const response = await fetch(url, {
      dispatcher: agent,
      redirect: 'manual',
      signal,
      headers: url.origin === first.origin ? ownHeaders(headers) : ownHeaders(),
    })
    const location = response.headers.get('location')
    if (!REDIRECTS.has(response.status) || location === null) return { response, url }
    await response.body?.cancel()
    url = checkedUrl(utf8(location), url)
  }
  throw new OutboundError('too_many_redirects', `More than ${MAX_REDIRECTS} redirects.`)
}

/** What can be judged without the network; the address itself is judged while connecting. */
function checkedUrl(address: string, base?: URL): URL {
  const url = URL.parse(address, base?.href)
  if (!url) throw new OutboundError('refused', 'This is not a valid address.')
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new OutboundError('refused', 'Only http and https addresses are fetched.')
  }
  if (url.username || url.password) throw new OutboundError('refused', 'An address must not contain credentials.')
  return url
}

/** `fetch` hands out header bytes one character each; servers that do not escape their addresses send UTF-8. */
function utf8(header: string): string {
  return Buffer.from(header, 'latin1').toString('utf8')
}

/** The caller's headers may hold a key, so they stay with the origin they were meant for. */
function ownHeaders(headers: Record<string, string> = {}): Headers {
  const own = new Headers(headers)
  own.delete('host') // would reach another site of the same server than the URL says
  own.delete('cookie')
  own.set('user-agent', USER_AGENT)
  return own
}

/** Stops reading, and so closes the connection, as soon as there is one byte too many. */
async function readUpTo(body: Response['body'], maxBytes: number): Promise<{ bytes: Uint8Array; truncated: boolean }> {
  const chunks: Uint8Array[] = []
  let sizeBytes = 0
  for await (const chunk of body ?? []) {
    chunks.push(chunk)
    sizeBytes += chunk.byteLength
    if (sizeBytes > maxBytes) break
  }
  const bytes = new Uint8Array(Buffer.concat(chunks, Math.min(sizeBytes, maxBytes)))
  return { bytes, truncated: sizeBytes > maxBytes }
}

/** undici wraps what went wrong in one or more causes. Only its code is passed on: the message names the address. */
function asOutboundError(error: unknown): OutboundError {
  let cause = error
  while (cause instanceof Error) {
    if (cause instanceof OutboundError) return cause
    if (!cause.cause) break
    cause = cause.cause
  }
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return new OutboundError('unreachable', `The address could not be read${code}.`)
}
