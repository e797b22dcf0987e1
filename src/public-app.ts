import type { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { mountDocs } from '#features/operations/docs/handlers.ts'
import { mountHealth } from '#features/operations/health/handlers.ts'
import type { Vitals } from '#features/operations/health/service.ts'
import { defineError } from '#kit/errors.ts'
import type { RouteContract } from '#kit/http/contract.ts'
import type { Env } from '#kit/http/env.ts'
import type { FrameOptions } from '#kit/http/frame.ts'
import { anonymous } from '#kit/http/guard.ts'
import type { AddressLimit } from '#kit/http/rate-limit.ts'
import { createRoot, guarded } from '#kit/http/root.ts'
import type { Assets } from '#ports/assets.ts'
import { BASE_PATH, contracts } from './contracts.ts'
import { describeApi } from './openapi.ts'

export const TenantsNotServed = defineError({
  code: 'tenants_not_served',
  kind: 'unavailable',
  message: 'Tenants are not served on Workers yet; only health and the documentation are.',
})

export interface PublicParts {
  frame: FrameOptions
  addressLimit: AddressLimit
  assets: Assets
  vitals: Vitals
}

/** The part of the API that needs no database. Every route that does is known, and refused with a 503. */
export function createPublicApp(parts: PublicParts): OpenAPIHono<Env> {
  const root = createRoot(parts.frame)
  const app = guarded(root, BASE_PATH, (route) => [
    route.scope === 'public' ? anonymous(route, parts.addressLimit) : refuse(route),
  ])
  mountHealth(app, parts.vitals)
  mountDocs(app, parts.assets, describeApi)
  for (const contract of contracts) {
    if (contract.scope !== 'public') app.openapi(contract, neverReached)
  }
  return root
}

/** Stands where the guard would: neither the credential nor the body is looked at. */
function refuse(route: RouteContract): MiddlewareHandler<Env> {
  return (c) => {
    c.set('operationId', route.operationId)
    throw new TenantsNotServed()
  }
}

function neverReached(): never {
  throw new TenantsNotServed()
}
