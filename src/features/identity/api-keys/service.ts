import type { TenantContext, TenantScope } from '#kit/context.ts'
import { generateApiKey, type KeyEnvironment } from '#kit/crypto/api-key.ts'
import type { SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { InvalidApiKey, ValidationFailed } from '#kit/http/errors.ts'
import type { ApiKey, CreateApiKey, Me } from './contract.ts'
import { ApiKeyNotFound, ScopeNotGrantable } from './errors.ts'
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

export async function listApiKeys(ctx: TenantContext, page: PageRequest): Promise<Page<ApiKey>> {
  const found = await rows.listKeysOfUser(ctx.db, ctx.actor.userId, page)
  return { ...found, rows: found.rows.map(rows.toApiKey) }
}

/**
 * Creates a key for the calling user.
 *
 * @returns the key with its secret, which is not kept
 * @throws ValidationFailed when it would have expired already
 * @throws ScopeNotGrantable when the calling key lacks one of the scopes: a key cannot make a mightier one
 */
export async function createApiKey(
  ctx: TenantContext,
  { hasher, environment }: KeyMaking,
  input: CreateApiKey,
): Promise<ApiKey & { key: string }> {
  if (input.expiresAt !== undefined && Date.parse(input.expiresAt) <= ctx.now().getTime()) {
    throw new ValidationFailed([{ path: 'expiresAt', message: 'This moment has passed.' }])
  }
  const missing = input.scopes.filter((scope) => !ctx.actor.scopes.includes(scope))
  if (missing.length > 0) throw new ScopeNotGrantable({ missing })

  const { key, keyId, keyPrefix } = generateApiKey(environment)
  const row: rows.NewKeyRow = {
    id: ctx.newId(),
    keyId,
    userId: ctx.actor.userId,
    name: input.name,
    keyPrefix,
    hash: await hasher.hash(key),
    scopes: [...new Set<TenantScope>(input.scopes)],
    isBootstrap: false,
    expiresAt: input.expiresAt ?? null,
    createdAt: ctx.now().toISOString(),
  }
  await ctx.directory.registerKey(keyId)
  await rows.insertKey(ctx.db, row)
  const { id, name, scopes, userId, expiresAt, createdAt } = row
  return {
    id,
    name,
    keyPrefix,
    scopes: [...scopes],
    userId,
    expiresAt,
    lastUsedAt: null,
    revokedAt: null,
    createdAt,
    key,
  }
}

/**
 * Revokes a key; its next request is refused. Its index row stays: it leads to a revoked key, which tells nothing.
 *
 * @throws ApiKeyNotFound when there is none, or it is another user's and the caller lacks the `admin` scope
 */
export async function revokeApiKey(ctx: TenantContext, id: string): Promise<void> {
  const owner = ctx.actor.scopes.includes('admin') ? undefined : ctx.actor.userId
  const isRevoked = await rows.revokeKey(ctx.db, id, owner, ctx.now().toISOString())
  if (!isRevoked) throw new ApiKeyNotFound()
}
