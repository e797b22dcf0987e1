import type { OpenAPIHono } from '@hono/zod-openapi'
import { mountInvoices } from '#features/billing/invoices/handlers.ts'
import { mountUsage } from '#features/billing/usage/handlers.ts'
import { mountApiKeys } from '#features/identity/api-keys/handlers.ts'
import type { KeyMaking } from '#features/identity/api-keys/service.ts'
import type { KeyVerifier } from '#features/identity/api-keys/verify.ts'
import { controlContext, entrances } from '#features/identity/enter.ts'
import { mountOwnTenant } from '#features/identity/own-tenant/handlers.ts'
import { mountTenants } from '#features/identity/tenants/handlers.ts'
import { mountUsers } from '#features/identity/users/handlers.ts'
import type { InvitationPost } from '#features/identity/users/service/invite-user.ts'
import { mountDocs } from '#features/operations/docs/handlers.ts'
import { mountHealth } from '#features/operations/health/handlers.ts'
import type { Vitals } from '#features/operations/health/service.ts'
import { mountMetrics } from '#features/operations/metrics/handlers.ts'
import { mountRateLimits } from '#features/operations/rate-limits/handlers.ts'
import { mountAgents } from '#features/workflows/agents/handlers.ts'
import { mountArtifacts } from '#features/workflows/artifacts/handlers.ts'
import type { WithDesiAgent } from '#features/workflows/context.ts'
import { mountCosts } from '#features/workflows/costs/handlers.ts'
import { mountDags } from '#features/workflows/dags/handlers.ts'
import { mountExecutions } from '#features/workflows/executions/handlers.ts'
import type { EventStreams } from '#features/workflows/executions/stream.ts'
import { mountExperiments } from '#features/workflows/experiments/handlers.ts'
import { mountSchedules } from '#features/workflows/schedules/handlers.ts'
import { mountTools } from '#features/workflows/tools/handlers.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import type { App, Env } from '#kit/http/env.ts'
import type { FrameOptions } from '#kit/http/frame.ts'
import { guards } from '#kit/http/guard.ts'
import type { AddressLimit, CallLimits } from '#kit/http/rate-limit.ts'
import { createRoot, guarded } from '#kit/http/root.ts'
import type { StreamTickets } from '#kit/stream-tickets.ts'
import type { Clock } from '#kit/time.ts'
import type { Assets } from '#ports/assets.ts'
import { BASE_PATH } from './contracts.ts'
import { describeApi } from './openapi.ts'

/** What the application is composed of; each home of the product brings its own. */
export interface AppParts {
  frame: FrameOptions
  limits: CallLimits
  addressLimit: AddressLimit
  verifier: KeyVerifier
  tickets: StreamTickets
  keyMaking: KeyMaking
  invitationPost: InvitationPost
  control: ControlDb
  tenants: TenantOperations
  withDesi: WithDesiAgent
  streams: EventStreams
  assets: Assets
  vitals: Vitals
  /** The metrics as Prometheus reads them. */
  exposition: () => Promise<string>
  now: Clock
}

/** The API: every feature on one Hono application, each route behind the guard its contract asks for. */
export function createApp(parts: AppParts): OpenAPIHono<Env> {
  const root = createRoot(parts.frame)
  const guard = guards({ ...parts, ...entrances(parts) })
  mountFeatures(guarded(root, BASE_PATH, guard), parts)
  return root
}

function mountFeatures(app: App, parts: AppParts): void {
  const { keyMaking, withDesi } = parts
  const publicControl = controlContext('public', parts.control, parts.tenants, parts.now)
  mountHealth(app, parts.vitals)
  mountDocs(app, parts.assets, describeApi)
  mountApiKeys(app, keyMaking)
  mountUsers(app, keyMaking, parts.invitationPost, publicControl)
  mountTenants(app, keyMaking)
  mountOwnTenant(app)
  mountAgents(app, withDesi)
  mountExperiments(app, withDesi) // before the DAGs: the first route that fits a path gets it, and /dags/{id} fits /dags/experiments
  mountDags(app, withDesi)
  mountExecutions(app, withDesi, parts.streams, parts.tickets)
  mountSchedules(app, withDesi)
  mountArtifacts(app, withDesi)
  mountTools(app, withDesi)
  mountCosts(app, withDesi)
  mountUsage(app, parts.streams.open)
  mountInvoices(app)
  mountRateLimits(app, parts.limits)
  mountMetrics(app, parts.exposition)
}
