import type { Directory } from '#ports/directory.ts'
import type { ControlDb } from './db/control-tables.ts'
import type { TenantDb } from './db/tenant-tables.ts'
import type { TenantLimits } from './quotas.ts'

/** What a caller may do. No scope implies another. `super_admin` is for admin keys only. */
export const TENANT_SCOPES = ['read', 'write', 'execute', 'admin'] as const
export type TenantScope = (typeof TENANT_SCOPES)[number]
export type Scope = TenantScope | 'super_admin'

export const ROLES = ['admin', 'member', 'viewer'] as const
export type Role = (typeof ROLES)[number]

/** The most a user of this role may hold. */
export const SCOPES_OF_ROLE: Record<Role, readonly TenantScope[]> = {
  admin: TENANT_SCOPES,
  member: ['read', 'write', 'execute'],
  viewer: ['read'],
}

/** Who is calling. A super-admin key has no tenant, a service key no user. */
export interface Principal {
  readonly tenantId: string | null
  readonly userId: string | null
  /** The id of the key's row. */
  readonly keyId: string
  readonly role: Role
  readonly scopes: readonly Scope[]
}

export interface TenantRecord {
  readonly id: string
  readonly plan: string
}

/**
 * Records, inside the transaction that makes a thing, which thing an `Idempotency-Key` made.
 * Does nothing for a request without such a key.
 *
 * @param secret  what the answer shows this once; kept sealed for a while, so that a repeat can show it again
 */
export type CommitWith<Db = TenantDb> = (tx: Db, resourceId: string, secret?: string) => Promise<void>

/** What a service works with: the tenant's own database, who is calling, the clock and the ids. */
export interface TenantContext {
  readonly tenant: TenantRecord
  /** The plan's quotas with what the super admin changed. */
  readonly limits: TenantLimits
  readonly actor: Principal
  readonly db: TenantDb
  /** What this tenant may ask of the control database. */
  readonly directory: Directory
  readonly commitWith: CommitWith
  /** Keeps the database open beyond the answer (a stream); returns what ends that. */
  hold(): () => void
  /** Whether the key is still good (neither revoked nor expired, its user not removed): for what outlives the request. */
  isKeyStillGood(): Promise<boolean>
  transaction<T>(work: (tx: TenantDb) => Promise<T>): Promise<T>
  now(): Date
  newId(): string
}

/** The same for the super admin's services, over the control database. */
export interface ControlContext {
  readonly actor: Principal
  readonly db: ControlDb
  readonly tenants: TenantOperations
  readonly commitWith: CommitWith<ControlDb>
  transaction<T>(work: (tx: ControlDb) => Promise<T>): Promise<T>
  now(): Date
  newId(): string
}

/** What control may ask of a tenant's database: coarse operations by name, JSON in and out. */
export interface TenantOperations {
  create(tenantId: string): Promise<void>
  /** Deletes the tenant's database and files for good, once nobody works with them any more. */
  remove(tenantId: string): Promise<void>
  /** 0 when there is none. */
  databaseSizeBytes(tenantId: string): Promise<number>
  /** @throws NoTenantDatabase */
  run(tenantId: string, operation: string, input: unknown): Promise<unknown>
}
