import type { ControlContext } from '#kit/context.ts'
import { parseInvitationToken } from '#kit/crypto/api-key.ts'
import { sha256Hex } from '#kit/crypto/hash.ts'
import { seal, unseal } from '#kit/crypto/seal.ts'
import { directoryOf, findTenantOfKey, putDueWorkOnce } from '#kit/db/directory.ts'
import { makeKey } from '../../api-keys/make-key.ts'
import type { KeyMaking } from '../../api-keys/service.ts'
import { findTenant } from '../../tenants/repository.ts'
import type { AcceptedInvitation, AcceptInvitation } from '../contract.ts'
import { InvitationNotFound } from '../errors.ts'
import { repeatableUntil } from '../invitations-repository.ts'
import type { Acceptance, AcceptanceOutcome } from '../operations.ts'

const SEALED_FOR = 'invitation'

/**
 * Turns an invitation's token into an active user and that user's first key. Nobody is logged in here: the token alone
 * leads to its tenant.
 *
 * @returns the key with its secret, which is kept only sealed under the token: for ten minutes the same token answers the
 *   same, whatever name comes with it, and is worth nothing after that
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
    sealedKey: await seal(key, token, SEALED_FOR),
    at: ctx.now().toISOString(),
  }
  // The sealed key must not stay, whatever happens to this process; nor any longer because somebody asks again.
  const end = { tenantId, kind: 'accepted_invitation', subjectId: tokenId } as const
  await putDueWorkOnce(ctx.db, end, repeatableUntil(acceptance.at))
  const { accepted, endedTokenIds } = await ctx.tenants
    .run(tenantId, 'acceptInvitation', acceptance)
    .then((outcome) => outcome as AcceptanceOutcome)
    .catch(async (error: unknown) => {
      await directory.removeKey(hashed.keyId)
      throw error
    })
  const isSpare = accepted?.apiKey.keyPrefix !== hashed.keyPrefix
  await directory.removeKey(...endedTokenIds, ...(isSpare ? [hashed.keyId] : []))
  const firstKey = accepted && (await unseal(accepted.sealedKey, token, SEALED_FOR))
  if (!accepted || firstKey === null) throw new InvitationNotFound()
  await directory.putDueWork(end.kind, end.subjectId, accepted.repeatableUntil) // it was put too early if the first who tried failed
  const { tenant, user, apiKey } = accepted
  return { tenant, user, apiKey: { ...apiKey, key: firstKey } }
}

async function findTenantOfToken(ctx: ControlContext, token: string): Promise<{ tokenId: string; tenantId: string }> {
  const parsed = parseInvitationToken(token)
  const tenantId = parsed && (await findTenantOfKey(ctx.db, parsed.tokenId))
  const stored = tenantId && (await findTenant(ctx.db, tenantId))
  if (!parsed || !stored || stored.tenant.status !== 'active') throw new InvitationNotFound()
  return { tokenId: parsed.tokenId, tenantId: stored.tenant.id }
}
