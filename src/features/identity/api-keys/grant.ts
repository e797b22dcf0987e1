import type { Scope, TenantContext, TenantScope } from '#kit/context.ts'
import { InvalidApiKey } from '#kit/http/errors.ts'
import { AddressNotGrantable, ExpiryNotGrantable, ScopeNotGrantable } from './errors.ts'
import { earlierEnd } from './lifetime.ts'
import { findKey } from './repository.ts'

/** The most the calling key may give to one it makes. */
export interface Grant {
  scopes: readonly Scope[]
  /** Null: any, and a key for everywhere. */
  allowedAddresses: readonly string[] | null
  /** Null: any end, and none. */
  expiresAt: string | null
}

/** A key that leaks must not be of more use than it was. One with the `admin` scope is trusted to know better. */
export async function grantOf(ctx: TenantContext): Promise<Grant> {
  const { scopes, keyId } = ctx.actor
  if (isAdmin(ctx)) return { scopes, allowedAddresses: null, expiresAt: null }
  const key = await findKey(ctx.db, keyId)
  if (!key) throw new InvalidApiKey()
  return { scopes, allowedAddresses: key.allowedAddresses, expiresAt: key.expiresAt }
}

export function isAdmin({ actor }: TenantContext): boolean {
  return actor.scopes.includes('admin')
}

/** What a key can do: which calls, from where (null: everywhere), until when (null: for ever). */
export interface Might {
  scopes: readonly TenantScope[]
  allowedAddresses: readonly string[] | null
  expiresAt: string | null
}

/**
 * Addresses are compared entry by entry, as they are written: a part of a range is not recognised as such.
 *
 * @throws ScopeNotGrantable, AddressNotGrantable, ExpiryNotGrantable
 */
export function assertGrantable(grant: Grant, { scopes, allowedAddresses, expiresAt }: Might): void {
  const missing = scopes.filter((scope) => !grant.scopes.includes(scope))
  if (missing.length > 0) throw new ScopeNotGrantable({ missing })

  const { allowedAddresses: grantable, expiresAt: latestExpiresAt } = grant
  if (grantable && !allowedAddresses?.every((address) => grantable.includes(address))) {
    throw new AddressNotGrantable({ grantable: [...grantable] })
  }
  if (latestExpiresAt === null) return
  const outlasts = expiresAt === null || Date.parse(expiresAt) > Date.parse(latestExpiresAt)
  if (outlasts) throw new ExpiryNotGrantable({ latestExpiresAt })
}

/** This end of a key, or the latest that may be given when that comes first. */
export function endUnder({ expiresAt: latest }: Grant, end: string | null): string | null {
  return latest === null ? end : earlierEnd(end, new Date(latest))
}
