import type { Server, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { type AddressRanges, clientAddress } from '#kit/http/client-address.ts'

interface Fetcher {
  fetch(request: Request, env: object): Response | Promise<Response>
}

export interface HttpServer {
  url: string
  /** Lets requests under way finish for at most `graceMs`, then closes their connections. */
  stop(graceMs: number): Promise<void>
}

/** Listens. @throws what listening throws, such as EADDRINUSE */
export async function listen(app: Fetcher, host: string, port: number): Promise<HttpServer> {
  const server = await new Promise<Server>((resolve, reject) => {
    const created = serve({ fetch: app.fetch, hostname: host, port }, () => resolve(created)) as Server
    created.once('error', reject)
  })
  const answering = openResponses(server)
  const { port: actual } = server.address() as AddressInfo
  const name = host.includes(':') ? `[${host}]` : host
  return { url: `http://${name}:${actual}`, stop: (graceMs) => stop(server, answering, graceMs) }
}

/** The answers under way. */
function openResponses(server: Server): ReadonlySet<ServerResponse> {
  const open = new Set<ServerResponse>()
  server.prependListener('request', (_request, response: ServerResponse) => {
    if (!server.listening) response.shouldKeepAlive = false
    open.add(response)
    response.once('close', () => open.delete(response))
  })
  return open
}

async function stop(server: Server, answering: ReadonlySet<ServerResponse>, graceMs: number): Promise<void> {
  // Told "Connection: close", a client sends its next request elsewhere instead of into a connection that goes away.
  for (const response of answering) response.shouldKeepAlive = false
  const closed = new Promise<void>((resolve) => {
    server.close(() => resolve())
  })
  // Again and again: a stream that ends now leaves a connection that is idle only then.
  const sweep = setInterval(() => server.closeIdleConnections(), 50)
  const timer = setTimeout(() => server.closeAllConnections(), graceMs)
  await closed
  clearTimeout(timer)
  clearInterval(sweep)
}

/** The caller's address from the socket, and from `X-Forwarded-For` as far as trusted proxies wrote it. */
export function addressFromSocket(trusted: AddressRanges) {
  return (c: { env: unknown; req: { header(name: string): string | undefined } }): string => {
    const { incoming } = c.env as { incoming?: { socket: { remoteAddress?: string } } }
    return clientAddress(incoming?.socket.remoteAddress ?? 'unknown', c.req.header('x-forwarded-for'), trusted)
  }
}
