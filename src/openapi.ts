import { OpenAPIHono } from '@hono/zod-openapi'
import { VERSION } from '#kit/version.ts'
import { BASE_PATH, contracts } from './contracts.ts'

const TAGS = [
  { name: 'Authentication', description: 'Who a key belongs to, and the keys of the calling user.' },
  { name: 'Users', description: 'The people of a tenant, how they get in and what they may do.' },
  { name: 'Tenants', description: 'Tenants, for the super admin; and what a tenant sees of itself.' },
  { name: 'Agents', description: 'Named prompts in versions; one version of a name is active.' },
  { name: 'DAGs', description: 'Goals and the plans made from them.' },
  { name: 'Experiments', description: 'One goal planned with several models and temperatures, compared.' },
  {
    name: 'Executions',
    description: 'Plans being carried out: their steps, their events, and how to stop and resume them.',
  },
  {
    name: 'Schedules',
    description: 'When DAGs and goals are executed by themselves, and what became of each such moment.',
  },
  { name: 'Artifacts', description: 'Files that go into an execution and come out of it.' },
  { name: 'Tools', description: 'What a sub-step may call.' },
  { name: 'Costs', description: 'What work cost, to the single call.' },
  { name: 'Billing', description: 'What is charged for: usage records, the current month, invoices.' },
  { name: 'Operations', description: 'Health, limits, metrics and documentation.' },
]

const DESCRIPTION = `A goal in words becomes a plan (a DAG), runs with tools and models, tells what happens, and says what it cost.

Send \`Authorization: Bearer <API key>\`. Errors have one form (\`Error\`); branch on \`code\`. Lists take \`limit\`, \`offset\` or \`cursor\`.
Calls that create or start something take an \`Idempotency-Key\`. Limits are told in \`X-RateLimit-Limit\`, \`-Remaining\` and \`-Reset\`
(epoch seconds), and in \`Retry-After\` on a 429.`

/** The published description, from the contracts alone: no database, no platform. */
export function describeApi(): object {
  const carrier = new OpenAPIHono() // only its registry and generator are used; nothing is served from it
  const registry = carrier.openAPIRegistry
  registry.registerComponent('securitySchemes', 'apiKey', {
    type: 'http',
    scheme: 'bearer',
    description: 'An API key: `desi_sk_live_…`, or `desi_sk_admin_…` for the super admin.',
  })
  registry.registerComponent('securitySchemes', 'streamTicket', {
    type: 'apiKey',
    in: 'query',
    name: 'ticket',
    description: 'A ticket of `createStreamTicket`, for `EventSource` in a browser.',
  })
  for (const contract of contracts) {
    const { scope, home, rateClass, isIdempotent, isUnlimited, isAtRoot, hasOptionalBody, takesTicket, ...route } =
      contract
    registry.registerPath({ ...route, path: isAtRoot ? route.path : BASE_PATH + route.path } as typeof route)
  }
  return carrier.getOpenAPI31Document({
    openapi: '3.1.0',
    info: {
      title: 'desiAgent backend',
      version: VERSION,
      description: DESCRIPTION,
      license: { name: 'MIT', url: 'https://opensource.org/license/mit' },
    },
    servers: [{ url: '/' }],
    tags: TAGS,
  })
}
