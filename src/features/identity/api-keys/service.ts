import type { TenantContext, TenantScope } from '#kit/context.ts'
import type { KeyEnvironment } from '#kit/crypto/api-key.ts'
import type { SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { InvalidApiKey, SecretNoLongerAvailable } from '#kit/http/errors.ts'
import type { Made } from '#kit/http/idempotency.ts'
import { addSeconds } from '#kit/time.ts'
import { getMaxApiKeyAge } from '../own-tenant/repository.ts'
import type { ApiKey, CreateApiKey, ListApiKeysQuery, Me, NewApiKey, RotateApiKey } from './contract.ts'
import { ApiKeyEnded, ApiKeyNotFound, ServiceKeyForbidden } from './errors.ts'
import { assertGrantable, endUnder, grantOf, isAdmin } from './grant.ts'
import { earlierEnd, expiryOfNewKey, expiryOfSuccessor } from './lifetime.ts'
import { makeKey } from './make-key.ts'
import * as rows from './repository.ts'

export interface KeyMaking {
  hasher: SecretHasher
  environment: Exclude<KeyEnvironment, 'admin'>
}

export async function getMe(ctx: TenantContext): Promise<Me> {
  const caller = await rows.findNamedCaller(ctx.db, ctx.actor.keyId)
  if (!caller) throw new InvalidApiKey()
  const scopes = [...ctx.actor.scopes] as TenantScope[]
  return {
    id: caller.user_id,
    email: caller.user_email,
    name: caller.user_name,
    role: ctx.actor.role,
    scopes,
    tenant: { id: caller.tenant_id, name: caller.tenant_name, slug: caller.tenant_slug, plan: caller.tenant_plan },
    apiKey: { id: caller.id, name: caller.name, keyPrefix: caller.key_prefix, scopes, expiresAt: caller.expires_at },
  }
}

/** @throws ServiceKeyForbidden when others' keys are asked for without the `admin` scope */
export async function listApiKeys(
  ctx: TenantContext,
  owner: ListApiKeysQuery['owner'],
  page: PageRequest,
): Promise<Page<ApiKey>> {
  if (owner !== 'me' && !isAdmin(ctx)) throw new ServiceKeyForbidden()
  const sets: Record<typeof owner, rows.KeySet> = { me: ownKeys(ctx), service: { userId: null }, all: 'all' }
  const found = await rows.listKeys(ctx.db, sets[owner], page)
  return { ...found, rows: found.rows.map(rows.toApiKey) }
}

/**
 * Creates a key for the calling user, or for the tenant: a service key. What a service key makes is one too. Without the
 * `admin` scope the calling key's addresses and end are those of the new one, unless that is given less.
 *
 * @returns the key with its secret, which is not kept
 * @throws ServiceKeyForbidden when it would be a service key and the calling one lacks the `admin` scope
 * @throws ScopeNotGrantable, AddressNotGrantable, ExpiryNotGrantable when it would be mightier than the calling key
 * @throws ValidationFailed when it would have expired already
 * @throws ApiKeyTooOld when it would last longer than the tenant allows
 */
export async function createApiKey(ctx: TenantContext, making: KeyMaking, input: CreateApiKey): Promise<NewApiKey> {
  const userId = input.isServiceKey ? null : ctx.actor.userId
  if (userId === null && !isAdmin(ctx)) throw new ServiceKeyForbidden()
  const grant = await grantOf(ctx)
  const now = ctx.now()
  const end = expiryOfNewKey(input.expiresAt, await getMaxApiKeyAge(ctx.db), now)
  const wanted: WantedKey = {
    userId,
    name: input.name,
    scopes: [...new Set<TenantScope>(input.scopes)],
    isBootstrap: false,
    allowedAddresses: input.allowedAddresses ?? grant.allowedAddresses,
    expiresAt: input.expiresAt === undefined ? endUnder(grant, end) : end,
    createdAt: now.toISOString(),
  }
  assertGrantable(grant, wanted)
  return storeNewKey(ctx, making, wanted)
}

/**
 * Puts a new key in the place of one, with the same name, owner, scopes and addresses. The old one ends
 * `overlapSeconds` from now, or when it would have anyway; without an overlap it is revoked. Without the `admin` scope the
 * new one ends with the calling key at the latest, unless that is the one it replaces: renewing itself is what a key that
 * may not grow old rotates for.
 *
 * @returns the new key with its secret, which is not kept
 * @throws ApiKeyNotFound when there is none, or it is another's and the caller lacks the `admin` scope
 * @throws ApiKeyEnded when it is revoked, expired or replaced already; of several rotations at once one wins
 * @throws ScopeNotGrantable, AddressNotGrantable, ExpiryNotGrantable when it is mightier than the calling key
 */
export async function rotateApiKey(
  ctx: TenantContext,
  making: KeyMaking,
  id: string,
  { overlapSeconds }: RotateApiKey,
): Promise<NewApiKey> {
  const now = ctx.now()
  const old = await rows.findInheritance(ctx.db, id, reachOf(ctx))
  if (!old) throw new ApiKeyNotFound()
  const grant = await grantOf(ctx)
  assertGrantable(grant, old)

  const renewed = expiryOfSuccessor(old, await getMaxApiKeyAge(ctx.db), now)
  const expiresAt = id === ctx.actor.keyId ? renewed : endUnder(grant, renewed)
  const at = now.toISOString()
  const end = {
    expiresAt: earlierEnd(old.expiresAt, addSeconds(now, overlapSeconds)),
    revokedAt: overlapSeconds === 0 ? at : null,
  }
  return storeNewKey(ctx, making, { ...old, expiresAt, createdAt: at }, async (tx, replacedBy) => {
    const wasFirst = await rows.replaceKey(tx, id, { ...end, replacedBy }, at)
    if (!wasFirst) throw new ApiKeyEnded()
  })
}

/**
 * A key that an earlier call with the same `Idempotency-Key` made, shown again.
 *
 * @throws SecretNoLongerAvailable when it cannot be
 */
export async function showNewApiKey(ctx: TenantContext, made: Made): Promise<NewApiKey> {
  const key = await made.secret()
  const row = await rows.findKey(ctx.db, made.id)
  if (!row) throw new SecretNoLongerAvailable()
  return { ...row, key }
}

/**
 * Revokes a key; its next request is refused. Its index row stays: it leads to a revoked key, which tells nothing.
 *
 * @throws ApiKeyNotFound when there is none, or it is another user's and the caller lacks the `admin` scope
 */
export async function revokeApiKey(ctx: TenantContext, id: string): Promise<void> {
  const isRevoked = await rows.revokeKey(ctx.db, id, reachOf(ctx), ctx.now().toISOString())
  if (!isRevoked) throw new ApiKeyNotFound()
}

type WantedKey = Omit<rows.NewKeyRow, 'id' | 'keyId' | 'keyPrefix' | 'hash'>

/** Makes a key and stores it, in one transaction with what else belongs to that. */
async function storeNewKey(
  ctx: TenantContext,
  making: KeyMaking,
  wanted: WantedKey,
  alongside: (tx: TenantDb, id: string) => Promise<void> = async () => {},
): Promise<NewApiKey> {
  const { key, hashed } = await makeKey(ctx.directory, making)
  const row: rows.NewKeyRow = { ...wanted, ...hashed, id: ctx.newId() }
  try {
    await ctx.transaction(async (tx) => {
      await alongside(tx, row.id)
      await rows.insertKey(tx, row)
      await ctx.commitWith(tx, row.id, key)
    })
  } catch (error) {
    await ctx.directory.removeKey(row.keyId) // it would lead to nothing
    throw error
  }
  return { ...asShown(row), key }
}

function asShown(row: rows.NewKeyRow): ApiKey {
  const { id, name, keyPrefix, scopes, userId, allowedAddresses, expiresAt, createdAt } = row
  return {
    id,
    name,
    keyPrefix,
    scopes: [...scopes],
    userId,
    allowedAddresses: allowedAddresses && [...allowedAddresses],
    expiresAt,
    lastUsedAt: null,
    revokedAt: null,
    createdAt,
  }
}

/** The keys the caller may end or replace. */
function reachOf(ctx: TenantContext): rows.KeySet {
  return isAdmin(ctx) ? 'all' : ownKeys(ctx)
}

/** Service keys have no user in common: without the `admin` scope each has only itself. */
function ownKeys(ctx: TenantContext): rows.KeySet {
  const { userId, keyId } = ctx.actor
  return userId === null && !isAdmin(ctx) ? { id: keyId } : { userId }
}
