import type { TenantContext } from '#kit/context.ts'
import type { OwnTenant, UpdateOwnTenant } from './contract.ts'
import * as rows from './repository.ts'

export function getOwnTenant(ctx: TenantContext): Promise<OwnTenant> {
  return rows.getOwnTenant(ctx.db)
}

/**
 * Changes what a tenant may set itself.
 *
 * @param input.maxApiKeyAgeDays  bounds keys that are made or rotated from now on; those there are keep their end
 */
export async function updateOwnTenant(ctx: TenantContext, input: UpdateOwnTenant): Promise<OwnTenant> {
  await rows.setMaxApiKeyAge(ctx.db, input.maxApiKeyAgeDays, ctx.now().toISOString())
  return rows.getOwnTenant(ctx.db)
}
