import type { DesiAgent } from '#desiagent/index.ts'
import type { TenantContext } from '#kit/context.ts'

/** A tenant's context with desiAgent over its database. */
export interface WorkflowContext extends TenantContext {
  readonly desi: DesiAgent
}

/** Gives a context its desiAgent; the application is composed with one of these. */
export type WithDesiAgent = (ctx: TenantContext) => WorkflowContext
