import type { ControlContext } from '#kit/context.ts'
import type { Tenant } from '../contract.ts'
import * as rows from '../repository.ts'

/** A creation takes seconds; one that is still pending after this long died, and so has its claim of an idempotency key. */
const PENDING_LIMIT_MS = 30_000

/** Whether it is pending, and nobody works at it any more. */
export function isDeadCreation({ status, createdAt }: Tenant, now: Date): boolean {
  return status === 'pending' && now.getTime() - Date.parse(createdAt) > PENDING_LIMIT_MS
}

/** Removes all there is of a tenant that never became one: database, files, what leads to it and its row. */
export async function clearAway(ctx: ControlContext, id: string): Promise<void> {
  // From here on it cannot become one any more, however long its creation has been at work.
  if (!(await rows.beginClearing(ctx.db, id)) && (await rows.findTenant(ctx.db, id))) return // it became one after all
  await ctx.tenants.remove(id)
  await ctx.transaction((tx) => rows.deletePendingTenant(tx, id))
}
