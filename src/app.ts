import type { OpenAPIHono } from '@hono/zod-openapi'
import { mountApiKeys } from '#features/identity/api-keys/handlers.ts'
import type { KeyMaking } from '#features/identity/api-keys/service.ts'
import type { KeyVerifier } from '#features/identity/api-keys/verify.ts'
import { entrances } from '#features/identity/enter.ts'
import { mountTenants } from '#features/identity/tenants/handlers.ts'
import { mountDocs } from '#features/operations/docs/handlers.ts'
import { mountHealth } from '#features/operations/health/handlers.ts'
import type { Vitals } from '#features/operations/health/service.ts'
import { mountAgents } from '#features/workflows/agents/handlers.ts'
import { mountArtifacts } from '#features/workflows/artifacts/handlers.ts'
import type { WithDesiAgent } from '#features/workflows/context.ts'
import { mountCosts } from '#features/workflows/costs/handlers.ts'
import { mountDags } from '#features/workflows/dags/handlers.ts'
import { mountExecutions } from '#features/workflows/executions/handlers.ts'
import { EventStreams } from '#features/workflows/executions/stream.ts'
import { mountTools } from '#features/workflows/tools/handlers.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import type { App, Env } from '#kit/http/env.ts'
import type { FrameOptions } from '#kit/http/frame.ts'
import { guards } from '#kit/http/guard.ts'
import type { AddressLimit, RateLimits } from '#kit/http/rate-limit.ts'
import { createRoot, guarded } from '#kit/http/root.ts'
import type { Clock } from '#kit/time.ts'
import type { Assets } from '#ports/assets.ts'
import type { Wake } from '#ports/wake.ts'
import { BASE_PATH } from './contracts.ts'
import { describeApi } from './openapi.ts'

/** What the application is composed of; each home of the product brings its own. */
export interface AppParts {
  frame: FrameOptions
  limits: RateLimits
  addressLimit: AddressLimit
  verifier: KeyVerifier
  keyMaking: KeyMaking
  control: ControlDb
  tenants: TenantOperations
  withDesi: WithDesiAgent
  wake: Wake
  /** Aborts when the process goes down. */
  stopping: AbortSignal
  assets: Assets
  vitals: Vitals
  now: Clock
}

/** The API: every feature on one Hono application, each route behind the guard its contract asks for. */
export function createApp(parts: AppParts): OpenAPIHono<Env> {
  const root = createRoot(parts.frame)
  const { enterTenant, enterControl } = entrances(parts)
  const guard = guards({ ...parts, nowMs: () => parts.now().getTime(), enterTenant, enterControl })
  mountFeatures(guarded(root, BASE_PATH, guard), parts)
  return root
}

function mountFeatures(app: App, parts: AppParts): void {
  const { keyMaking, withDesi } = parts
  mountHealth(app, parts.vitals)
  mountDocs(app, parts.assets, describeApi)
  mountApiKeys(app, keyMaking)
  mountTenants(app, keyMaking)
  mountAgents(app, withDesi)
  mountDags(app, withDesi)
  mountExecutions(app, withDesi, new EventStreams(parts.wake, parts.stopping))
  mountArtifacts(app, withDesi)
  mountTools(app, withDesi)
  mountCosts(app, withDesi)
}
