import type { ControlContext } from '#kit/context.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import { directoryOf, lookAgainAt } from '#kit/db/directory.ts'
import type { Tenant, UpdateTenant } from '../contract.ts'
import { TenantNotFound, TenantPending } from '../errors.ts'
import * as rows from '../repository.ts'

/**
 * Changes a tenant; the next request of its keys sees it. Control is written first, then the tenant's own copy, and
 * last its work is stopped if it is suspended now. What a crash in between left undone stays due until it is finished.
 *
 * @param input.quotas  takes the place of all that differed from the plan
 * @throws TenantNotFound, TenantPending
 */
export async function updateTenant(ctx: ControlContext, id: string, input: UpdateTenant): Promise<Tenant> {
  try {
    return await changeTenant(ctx, id, input)
  } catch (error) {
    if (error instanceof NoTenantDatabase) throw new TenantNotFound() // a purge is under way, or stopped half-way
    throw error
  }
}

/**
 * Stops a tenant: its keys answer 403 and its executions are suspended. Suspending twice answers the same.
 *
 * @throws TenantNotFound, TenantPending
 */
export function suspendTenant(ctx: ControlContext, id: string): Promise<Tenant> {
  return updateTenant(ctx, id, { status: 'suspended' })
}

/**
 * Opens a suspended tenant again; its executions stay suspended until somebody resumes them.
 *
 * @throws TenantNotFound, TenantPending
 */
export function resumeTenant(ctx: ControlContext, id: string): Promise<Tenant> {
  return updateTenant(ctx, id, { status: 'active' })
}

/** @throws TenantNotFound, TenantPending; NoTenantDatabase when a purge has taken that already */
export async function changeTenant(ctx: ControlContext, id: string, input: UpdateTenant): Promise<Tenant> {
  const { tenant: before } = await findSettled(ctx, id)
  // What came too late to be stopped with the rest must not run on by itself.
  if (input.status === 'active' && before.status === 'suspended') await stopWork(ctx, id)
  const now = ctx.now()
  const changeId = ctx.newId() // one due work for each change: of two at once the first to end must not call off the other's
  await ctx.transaction(async (tx) => {
    if (!(await rows.updateTenant(tx, id, input, now.toISOString()))) throw new TenantNotFound() // purged meanwhile
    await directoryOf(tx, id).putDueWork('tenant_record', changeId, lookAgainAt(now))
  })
  const after = await finishChange(ctx, id)
  await directoryOf(ctx.db, id).removeDueWork('tenant_record', changeId)
  return after
}

/**
 * Makes the tenant what control says it is: its own copy first, then its work is stopped if it is suspended. Changes
 * nothing where that is done already.
 *
 * @throws TenantNotFound; NoTenantDatabase when there is none any more
 */
export async function finishChange(ctx: BothSides, id: string): Promise<Tenant> {
  const after = await copyToTenant(ctx, id)
  if (after.status === 'suspended') await stopWork(ctx, id)
  return after
}

/** Control, and the way to the tenants. */
type BothSides = Pick<ControlContext, 'db' | 'tenants'>

/** @throws TenantNotFound; TenantPending while it is being created */
export async function findSettled(ctx: BothSides, id: string): Promise<rows.StoredTenant> {
  const stored = await rows.findTenant(ctx.db, id)
  if (!stored) throw new TenantNotFound()
  if (stored.tenant.status === 'pending') throw new TenantPending()
  return stored
}

/** Until nothing changed meanwhile: of two calls at once the slower must not leave its older copy behind. */
async function copyToTenant(ctx: BothSides, id: string): Promise<Tenant> {
  let record = recordOf(await findSettled(ctx, id))
  for (;;) {
    await ctx.tenants.run(id, 'setTenantRecord', record)
    const stored = await findSettled(ctx, id)
    const newest = recordOf(stored)
    if (JSON.stringify(newest) === JSON.stringify(record)) return stored.tenant
    record = newest
  }
}

function recordOf({ tenant, quotaOverrides }: rows.StoredTenant): rows.TenantRecord {
  const { name, status, plan, updatedAt } = tenant
  return { name, status, plan, quotas: quotaOverrides, updatedAt }
}

/** Suspends the executions of a tenant whose own record says that it is suspended; of any other it stops nothing. */
async function stopWork(ctx: BothSides, id: string): Promise<void> {
  await ctx.tenants.run(id, 'stopWork', null)
}
