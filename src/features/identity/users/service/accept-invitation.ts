import type { ControlContext } from '#kit/context.ts'
import { parseInvitationToken } from '#kit/crypto/api-key.ts'
import { sha256Hex } from '#kit/crypto/hash.ts'
import { directoryOf, findTenantOfKey } from '#kit/db/directory.ts'
import { makeKey } from '../../api-keys/make-key.ts'
import type { KeyMaking } from '../../api-keys/service.ts'
import { findTenant } from '../../tenants/repository.ts'
import type { AcceptedInvitation, AcceptInvitation } from '../contract.ts'
import { InvitationNotFound } from '../errors.ts'
import type { Acceptance, Accepted } from '../operations.ts'

/**
 * Turns an invitation's token into an active user and that user's first key. Nobody is logged in here: the token alone
 * leads to its tenant.
 *
 * @returns the key with its secret, which is not kept
 * @throws InvitationNotFound whatever the reason, so that a stranger learns nothing from it
 */
export async function acceptInvitation(
  ctx: ControlContext,
  making: KeyMaking,
  { token, name }: AcceptInvitation,
): Promise<AcceptedInvitation> {
  const { tokenId, tenantId } = await findTenantOfToken(ctx, token)
  const directory = directoryOf(ctx.db, tenantId)
  const { key, hashed } = await makeKey(directory, making)
  const acceptance: Acceptance = {
    token: { tokenId, tokenHash: await sha256Hex(token) },
    name,
    key: hashed,
    at: ctx.now().toISOString(),
  }
  const accepted = (await ctx.tenants.run(tenantId, 'acceptInvitation', acceptance)) as Accepted | null
  await directory.removeKey(accepted ? tokenId : hashed.keyId)
  if (!accepted) throw new InvitationNotFound()
  const { tenant, user, apiKey } = accepted
  return { tenant, user, apiKey: { ...apiKey, key } }
}

async function findTenantOfToken(ctx: ControlContext, token: string): Promise<{ tokenId: string; tenantId: string }> {
  const parsed = parseInvitationToken(token)
  const tenantId = parsed && (await findTenantOfKey(ctx.db, parsed.tokenId))
  const stored = tenantId && (await findTenant(ctx.db, tenantId))
  if (!parsed || !stored || stored.tenant.status !== 'active') throw new InvitationNotFound()
  return { tokenId: parsed.tokenId, tenantId: stored.tenant.id }
}
