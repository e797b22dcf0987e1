import { type Role, SCOPES_OF_ROLE } from '#kit/context.ts'
import { lockTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { newId } from '#kit/ids.ts'
import type { ApiKey } from '../api-keys/contract.ts'
import { expiryOfNewKey } from '../api-keys/lifetime.ts'
import type { HashedKey } from '../api-keys/make-key.ts'
import { findKey, insertKey } from '../api-keys/repository.ts'
import type { User } from './contract.ts'
import {
  deleteEndedInvitations,
  endInvitation,
  findNextEnd,
  findOpenInvitation,
  type OpenInvitation,
  type PresentedToken,
  repeatableUntil,
} from './invitations-repository.ts'
import { activateInvitedUser, findUser } from './repository.ts'

export interface Acceptance {
  token: PresentedToken
  /** Left out: the name the inviter gave. */
  name?: string | undefined
  /** Made and indexed by control. */
  key: HashedKey
  /** The key itself, sealed under the token. */
  sealedKey: string
  /** ISO 8601. */
  at: string
}

export interface Accepted {
  tenant: { id: string; name: string; slug: string }
  user: User
  /** The one in the acceptance, or that of an earlier one. */
  apiKey: ApiKey
  sealedKey: string
  /** For so long the same token answers the same. ISO 8601; a repeat does not move it. */
  repeatableUntil: string
}

export interface AcceptanceOutcome {
  /** Null when the token is not valid, or the tenant is suspended. */
  accepted: Accepted | null
  /** Of tokens that are worth nothing any more: to be taken out of the index once that is committed. */
  endedTokenIds: string[]
}

/**
 * Lets an invited user in, with a key that may do all the role allows. The same token again gets the same user and key
 * for ten minutes, and makes nothing: of several at once one lets the user in.
 */
export async function acceptInvitation(db: TenantDb, acceptance: Acceptance): Promise<AcceptanceOutcome> {
  const { token, at } = acceptance
  return transaction(db, async (tx) => {
    if (!(await findOpenInvitation(tx, token, at))) return { accepted: null, endedTokenIds: [] } // a guess writes nothing
    const tenant = await lockTenant(tx)
    const endedTokenIds = await deleteEndedInvitations(tx, at)
    const invitation = await findOpenInvitation(tx, token, at) // again: only under the lock does it hold
    if (!invitation || tenant.status !== 'active') return { accepted: null, endedTokenIds }
    const { userId, accepted } = invitation
    const came = accepted
      ? await findWhoCame(tx, userId, accepted)
      : await letIn(tx, userId, acceptance, tenant.max_api_key_age_days)
    const { id, name, slug } = tenant
    return { accepted: came && { tenant: { id, name, slug }, ...came }, endedTokenIds }
  })
}

type Came = Omit<Accepted, 'tenant'>

async function letIn(
  tx: TenantDb,
  userId: string,
  { token, name, key, sealedKey, at }: Acceptance,
  maxAgeDays: number | null,
): Promise<Came> {
  const user = await activateInvitedUser(tx, userId, name, at)
  const apiKey = await insertFirstKey(tx, user, key, at, maxAgeDays)
  await endInvitation(tx, token.tokenId, { apiKeyId: apiKey.id, sealedKey }, at)
  return { user, apiKey, sealedKey, repeatableUntil: repeatableUntil(at) }
}

async function findWhoCame(
  tx: TenantDb,
  userId: string,
  { firstKey: { apiKeyId, sealedKey }, at }: NonNullable<OpenInvitation['accepted']>,
): Promise<Came | null> {
  const [user, apiKey] = [await findUser(tx, userId), await findKey(tx, apiKeyId)]
  return user && apiKey && { user, apiKey, sealedKey, repeatableUntil: repeatableUntil(at) }
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

export interface EndedInvitations {
  /** They lead to nothing now. */
  tokenIds: string[]
  /** When there is something to let go of again (ISO 8601); null: nothing is kept. */
  nextEndAt: string | null
}

/** Lets go of what was kept of invitations that were accepted ten minutes ago. */
export async function endInvitations(db: TenantDb, { at }: { at: string }): Promise<EndedInvitations> {
  const tokenIds = await deleteEndedInvitations(db, at)
  return { tokenIds, nextEndAt: await findNextEnd(db) }
}
