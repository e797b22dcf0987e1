/**
 * The server under load, as a child of bench.ts: the real one, and beside it in the same process a bare route behind
 * the same `frame`, which is what HTTP, validation and the frame cost without any duty of ours.
 */
import { OpenAPIHono, z } from '@hono/zod-openapi'
import { createSuperAdminKey } from '#features/identity/admin-keys/service.ts'
import { json } from '#kit/http/contract.ts'
import type { Env } from '#kit/http/env.ts'
import { frame } from '#kit/http/frame.ts'
import { NO_METRICS } from '#kit/no-metrics.ts'
import { addressFromSocket, listen } from '#platform/node/http-server.ts'
import { readConfig } from '#src/config.ts'
import { startServer } from '#src/node.ts'

/** What bench.ts is told when both listen. */
export interface Listening {
  url: string
  bareUrl: string
  /** Of a tenant's admin; it has all scopes. */
  apiKey: string
}

const config = readConfig(process.env)
const server = await startServer(config)

const bare = new OpenAPIHono<Env>()
bare.use(
  frame({
    log: server.api.stores.log,
    metrics: NO_METRICS,
    bodyLimitBytes: config.BODY_LIMIT_BYTES,
    corsOrigins: config.CORS_ORIGINS,
    addressOf: addressFromSocket(config.TRUSTED_PROXIES),
  }),
)
bare.openapi(
  {
    method: 'get',
    path: '/bare/{id}',
    request: { params: z.object({ id: z.uuid() }) },
    responses: { 200: json(z.object({ id: z.uuid(), name: z.string() }), 'What was asked for') },
  },
  (c) => c.json({ id: c.req.valid('param').id, name: 'bare' }, 200),
)
const bareServer = await listen(bare, config.HOST, 0)

const { control, hasher } = server.api.stores
const superAdminKey = await createSuperAdminKey(control, hasher, false, new Date())
const created = await fetch(`${server.url}/api/v2/admin/tenants`, {
  method: 'POST',
  headers: { authorization: `Bearer ${superAdminKey}`, 'content-type': 'application/json' },
  body: JSON.stringify({ slug: 'bench', plan: 'enterprise', admin: { email: 'admin@bench.test' } }),
})
const { apiKey } = (await created.json()) as { apiKey: string }

process.send?.({ url: server.url, bareUrl: bareServer.url, apiKey } satisfies Listening)
process.once('SIGTERM', async () => {
  await Promise.all([server.stop(), bareServer.stop(0)])
  process.exit(0) // under --cpu-prof, which writes its file on exit
})
process.once('disconnect', () => process.exit(1)) // bench.ts is gone
