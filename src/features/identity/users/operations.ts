import { type Role, SCOPES_OF_ROLE } from '#kit/context.ts'
import { lockTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { newId } from '#kit/ids.ts'
import type { ApiKey } from '../api-keys/contract.ts'
import { expiryOfNewKey } from '../api-keys/lifetime.ts'
import type { HashedKey } from '../api-keys/make-key.ts'
import { insertKey } from '../api-keys/repository.ts'
import type { User } from './contract.ts'
import { deleteInvitation, findInvitedUser, type PresentedToken } from './invitations-repository.ts'
import { activateInvitedUser } from './repository.ts'

export interface Acceptance {
  token: PresentedToken
  /** Left out: the name the inviter gave. */
  name?: string | undefined
  /** Made and indexed by control. */
  key: HashedKey
  /** ISO 8601. */
  at: string
}

export interface Accepted {
  tenant: { id: string; name: string; slug: string }
  user: User
  apiKey: ApiKey
}

/**
 * Lets an invited user in, with a key that may do all the role allows. Of two with the same token one gets in.
 *
 * @returns null when the token is not valid, or the tenant is suspended
 */
export async function acceptInvitation(db: TenantDb, { token, name, key, at }: Acceptance): Promise<Accepted | null> {
  return transaction(db, async (tx) => {
    const userId = await findInvitedUser(tx, token, at)
    if (userId === null) return null // a guess writes nothing
    const tenant = await lockTenant(tx)
    if (tenant.status !== 'active') return null
    if (!(await deleteInvitation(tx, token.tokenId))) return null
    const user = await activateInvitedUser(tx, userId, name, at)
    const apiKey = await insertFirstKey(tx, user, key, at, tenant.max_api_key_age_days)
    return { tenant: { id: tenant.id, name: tenant.name, slug: tenant.slug }, user, apiKey }
  })
}

async function insertFirstKey(
  tx: TenantDb,
  user: { id: string; role: Role },
  { keyId, keyPrefix, hash }: HashedKey,
  at: string,
  maxAgeDays: number | null,
): Promise<ApiKey> {
  const shown = {
    id: newId(),
    name: 'invitation',
    keyPrefix,
    userId: user.id,
    allowedAddresses: null,
    expiresAt: expiryOfNewKey(undefined, maxAgeDays, new Date(at)),
    createdAt: at,
  }
  const scopes = SCOPES_OF_ROLE[user.role]
  await insertKey(tx, { ...shown, keyId, hash, scopes, isBootstrap: false })
  return { ...shown, scopes: [...scopes], lastUsedAt: null, revokedAt: null }
}
