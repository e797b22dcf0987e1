import type { ExpressionBuilder } from 'kysely'
import type { TenantScope } from '#kit/context.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { prepared, remembered } from '#kit/db/prepared.ts'
import type { ApiKeysTable, TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import type { ApiKey } from './contract.ts'

/** What every request needs to know about its caller, read in one statement. */
export interface CallerRow {
  id: string
  user_id: string | null
  hash: string
  scopes: string
  expires_at: string | null
  revoked_at: string | null
  user_role: string | null
  user_status: string | null
  tenant_id: string
  tenant_status: string
  tenant_plan: string
  tenant_quotas: string
  allowed_addresses: string | null
}

/** The same with the names a person would want to see. */
export interface NamedCallerRow extends CallerRow {
  name: string
  key_prefix: string
  user_email: string | null
  user_name: string | null
  tenant_name: string
  tenant_slug: string
}

const callerByKeyId = prepared<TenantTables, { keyId: string }, CallerRow>((db, { keyId }) =>
  callers(db).where('k.key_id', '=', keyId),
)
const namedCallerById = prepared<TenantTables, { id: string }, NamedCallerRow>((db, { id }) =>
  callers(db)
    .select(['k.name', 'k.key_prefix', 'u.email as user_email', 'u.name as user_name'])
    .select(['t.name as tenant_name', 't.slug as tenant_slug'])
    .where('k.id', '=', id),
)

function callers(db: TenantDb) {
  return db
    .selectFrom('api_keys as k')
    .leftJoin('users as u', 'u.id', 'k.user_id')
    .innerJoin('tenant as t', (join) => join.onTrue())
    .select(['k.id', 'k.user_id', 'k.hash', 'k.scopes', 'k.expires_at', 'k.revoked_at'])
    .select(['u.role as user_role', 'u.status as user_status'])
    .select(['k.allowed_addresses', 't.quotas as tenant_quotas'])
    .select(['t.id as tenant_id', 't.status as tenant_status', 't.plan as tenant_plan'])
}

/**
 * A caller's row is remembered for a second while this process writes nothing to the tenant's database: a revocation
 * counts at the next request, one by another process (`bootstrap --rotate`) within the second.
 */
const REMEMBERED_MS = 1_000

/** The caller behind a key's public id. */
export const findCaller = remembered(async (db: TenantDb, keyId: string): Promise<CallerRow | null> => {
  const [row] = await callerByKeyId(db, { keyId })
  return row ?? null
}, REMEMBERED_MS)

/** The caller behind the id of a key's row, with names. */
export const findNamedCaller = remembered(async (db: TenantDb, id: string): Promise<NamedCallerRow | null> => {
  const [row] = await namedCallerById(db, { id })
  return row ?? null
}, REMEMBERED_MS)

/** The caller behind the id of a key's row, as it is now. */
export async function readCaller(db: TenantDb, id: string): Promise<CallerRow | null> {
  const [row] = await namedCallerById(db, { id })
  return row ?? null
}

export async function touchKey(db: TenantDb, id: string, usedAt: string): Promise<void> {
  await db.updateTable('api_keys').set({ last_used_at: usedAt }).where('id', '=', id).execute()
}

export interface NewKeyRow {
  id: string
  keyId: string
  userId: string | null
  name: string
  keyPrefix: string
  hash: string
  scopes: readonly TenantScope[]
  isBootstrap: boolean
  /** Null: from everywhere. */
  allowedAddresses: readonly string[] | null
  expiresAt: string | null
  createdAt: string
}

export async function insertKey(db: TenantDb, key: NewKeyRow): Promise<void> {
  await db
    .insertInto('api_keys')
    .values({
      id: key.id,
      key_id: key.keyId,
      user_id: key.userId,
      name: key.name,
      key_prefix: key.keyPrefix,
      hash: key.hash,
      scopes: JSON.stringify(key.scopes),
      is_bootstrap: key.isBootstrap ? 1 : 0,
      allowed_addresses: key.allowedAddresses && JSON.stringify(key.allowedAddresses),
      expires_at: key.expiresAt,
      last_used_at: null,
      revoked_at: null,
      created_at: key.createdAt,
    })
    .execute()
}

const SHOWN = [
  'id',
  'name',
  'key_prefix',
  'scopes',
  'user_id',
  'allowed_addresses',
  'expires_at',
  'last_used_at',
  'revoked_at',
  'created_at',
] as const satisfies (keyof ApiKeysTable)[]
type ShownRow = Pick<ApiKeysTable, (typeof SHOWN)[number]>

/** Which keys: all of the tenant, one user's or the tenant's own (null), or a single one. */
export type KeySet = 'all' | { userId: string | null } | { id: string }

function isAmong(keys: KeySet) {
  return (eb: ExpressionBuilder<TenantTables, 'api_keys'>) => {
    if (keys === 'all') return eb.lit(true)
    return 'id' in keys ? eb('id', '=', keys.id) : eb('user_id', keys.userId === null ? 'is' : '=', keys.userId)
  }
}

function isWorking(now: string) {
  return (eb: ExpressionBuilder<TenantTables, 'api_keys'>) =>
    eb.and([eb('revoked_at', 'is', null), eb.or([eb('expires_at', 'is', null), eb('expires_at', '>', now)])])
}

export async function listKeys(db: TenantDb, keys: KeySet, page: PageRequest): Promise<Page<ShownRow>> {
  return fetchPage(db.selectFrom('api_keys').select(SHOWN).where(isAmong(keys)), page)
}

export async function findKey(db: TenantDb, id: string): Promise<ApiKey | null> {
  const row = await db.selectFrom('api_keys').select(SHOWN).where('id', '=', id).executeTakeFirst()
  return row ? toApiKey(row) : null
}

/**
 * Revokes a key if it is among these.
 *
 * @returns false when there is no such key; revoking twice is no error and keeps the first time
 */
export async function revokeKey(db: TenantDb, id: string, reach: KeySet, now: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('api_keys')
    .set((eb) => ({ revoked_at: eb.fn.coalesce('revoked_at', eb.val(now)) }))
    .where('id', '=', id)
    .where(isAmong(reach))
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** What the key that takes another's place has from it. */
export type Inheritance = Pick<
  NewKeyRow,
  'userId' | 'name' | 'scopes' | 'isBootstrap' | 'allowedAddresses' | 'expiresAt' | 'createdAt'
>

export async function findInheritance(db: TenantDb, id: string, reach: KeySet): Promise<Inheritance | null> {
  const row = await db
    .selectFrom('api_keys')
    .select([...SHOWN, 'is_bootstrap'])
    .where('id', '=', id)
    .where(isAmong(reach))
    .executeTakeFirst()
  if (!row) return null
  const { userId, name, scopes, allowedAddresses, expiresAt, createdAt } = toApiKey(row)
  return { userId, name, scopes, isBootstrap: row.is_bootstrap === 1, allowedAddresses, expiresAt, createdAt }
}

export interface Replacement {
  replacedBy: string
  expiresAt: string
  /** Null: the key works until it expires. */
  revokedAt: string | null
}

/**
 * Ends a key in favour of another, if it still works and has not been replaced. One statement: of several rotations at
 * once, one finds it so.
 */
export async function replaceKey(db: TenantDb, id: string, by: Replacement, now: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('api_keys')
    .set({ replaced_by: by.replacedBy, expires_at: by.expiresAt, revoked_at: by.revokedAt })
    .where('id', '=', id)
    .where('replaced_by', 'is', null)
    .where(isWorking(now))
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Revokes all keys of this user; those that are revoked already keep their moment. */
export async function revokeKeysOfUser(db: TenantDb, userId: string, now: string): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ revoked_at: now })
    .where('user_id', '=', userId)
    .where('revoked_at', 'is', null)
    .execute()
}

/** Revokes the keys that bootstrap made for this user. */
export async function revokeBootstrapKeys(db: TenantDb, userId: string, now: string): Promise<void> {
  await db
    .updateTable('api_keys')
    .set({ revoked_at: now })
    .where('user_id', '=', userId)
    .where('is_bootstrap', '=', 1)
    .where('revoked_at', 'is', null)
    .execute()
}

export function toApiKey(row: ShownRow): ApiKey {
  return {
    id: row.id,
    name: row.name,
    keyPrefix: row.key_prefix,
    scopes: JSON.parse(row.scopes) as TenantScope[],
    userId: row.user_id,
    allowedAddresses: row.allowed_addresses === null ? null : (JSON.parse(row.allowed_addresses) as string[]),
    expiresAt: row.expires_at,
    lastUsedAt: row.last_used_at,
    revokedAt: row.revoked_at,
    createdAt: row.created_at,
  }
}

/** Whether the user ever had a key: everybody who came in did. */
export async function hasHadKey(db: TenantDb, userId: string): Promise<boolean> {
  const row = await db.selectFrom('api_keys').select('id').where('user_id', '=', userId).limit(1).executeTakeFirst()
  return row !== undefined
}

export async function hasWorkingKey(db: TenantDb, userId: string, now: string): Promise<boolean> {
  const row = await db
    .selectFrom('api_keys')
    .select('id')
    .where('user_id', '=', userId)
    .where(isWorking(now))
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}
