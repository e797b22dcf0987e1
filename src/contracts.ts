import * as invoices from '#features/billing/invoices/contract.ts'
import * as usage from '#features/billing/usage/contract.ts'
import * as apiKeys from '#features/identity/api-keys/contract.ts'
import * as ownTenant from '#features/identity/own-tenant/contract.ts'
import * as tenants from '#features/identity/tenants/contract.ts'
import * as users from '#features/identity/users/contract.ts'
import * as docs from '#features/operations/docs/contract.ts'
import * as health from '#features/operations/health/contract.ts'
import * as metrics from '#features/operations/metrics/contract.ts'
import * as rateLimits from '#features/operations/rate-limits/contract.ts'
import * as agents from '#features/workflows/agents/contract.ts'
import * as artifacts from '#features/workflows/artifacts/contract.ts'
import * as costs from '#features/workflows/costs/contract.ts'
import * as dags from '#features/workflows/dags/contract.ts'
import * as executions from '#features/workflows/executions/contract.ts'
import * as experiments from '#features/workflows/experiments/contract.ts'
import * as schedules from '#features/workflows/schedules/contract.ts'
import * as tools from '#features/workflows/tools/contract.ts'
import type { RouteContract } from '#kit/http/contract.ts'

const MODULES: Record<string, unknown>[] = [
  apiKeys,
  users,
  tenants,
  ownTenant,
  agents,
  dags,
  experiments,
  executions,
  schedules,
  artifacts,
  tools,
  costs,
  usage,
  invoices,
  rateLimits,
  metrics,
  health,
  docs,
]

/** Every route of the product, in the order in which the published spec shows them. */
export const contracts: readonly RouteContract[] = MODULES.flatMap(routesOf)

export const BASE_PATH = '/api/v2'

/** By name, because not every bundler keeps the order that ECMAScript gives the exports of a module. */
function routesOf(module: Record<string, unknown>): RouteContract[] {
  const byName = (a: RouteContract, b: RouteContract) => (a.operationId < b.operationId ? -1 : 1)
  return Object.values(module).filter(isRoute).toSorted(byName)
}

function isRoute(exported: unknown): exported is RouteContract {
  return typeof exported === 'object' && exported !== null && 'operationId' in exported && 'path' in exported
}
