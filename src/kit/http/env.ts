import type { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { ControlContext, Principal, TenantContext } from '../context.ts'

export interface Env {
  Variables: {
    requestId: string
    /** The address the request came from, as far as we trust what we were told. */
    clientAddress: string
    operationId: string
    /** Set on every route that is not public. */
    principal: Principal
    /** Set on routes whose home is `tenant`; where it is `caller`, this or `control`. */
    tenant: TenantContext
    /** Set on routes whose home is `control`. */
    control: ControlContext
  }
}

export type RequestContext = Context<Env>

/** What a feature mounts its contracts on. A guard made from the contract runs before each handler. */
export interface App {
  openapi: OpenAPIHono<Env>['openapi']
}
