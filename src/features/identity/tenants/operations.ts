import { TENANT_SCOPES } from '#kit/context.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { newId } from '#kit/ids.ts'
import type { HashedKey } from '../api-keys/make-key.ts'
import { insertKey, revokeBootstrapKeys } from '../api-keys/repository.ts'
import { findActiveAdmin, insertActiveUser } from '../users/repository.ts'
import type { Tenant } from './contract.ts'
import type { QuotaOverrides } from './plans.ts'
import { insertTenantRecord } from './repository.ts'

export interface Provision {
  tenant: Tenant
  quotaOverrides: QuotaOverrides
  /** The first admin and that admin's key, if there is to be one. */
  admin: { user: { id: string; email: string; name: string }; key: HashedKey } | null
}

/** Fills a new tenant's database: its own record and, if asked, its first admin with a key. */
export async function provisionIdentity(db: TenantDb, { tenant, quotaOverrides, admin }: Provision): Promise<void> {
  const at = tenant.createdAt
  await transaction(db, async (tx) => {
    await insertTenantRecord(tx, tenant, quotaOverrides)
    if (!admin) return
    await insertActiveUser(tx, { ...admin.user, role: 'admin', createdAt: at })
    await insertBootstrapKey(tx, admin.user.id, admin.key, at)
  })
}

export interface Rotation {
  key: HashedKey
  adminEmail: string
  at: string
}

/**
 * Replaces the key that bootstrap gave this admin.
 *
 * @returns the admin, or null when the tenant has no such active admin
 */
export async function rotateBootstrapKey(
  db: TenantDb,
  rotation: Rotation,
): Promise<{ id: string; email: string } | null> {
  return transaction(db, async (tx) => {
    const admin = await findActiveAdmin(tx, rotation.adminEmail)
    if (!admin) return null
    await revokeBootstrapKeys(tx, admin.id, rotation.at)
    await insertBootstrapKey(tx, admin.id, rotation.key, rotation.at)
    return admin
  })
}

async function insertBootstrapKey(tx: TenantDb, userId: string, key: HashedKey, createdAt: string): Promise<void> {
  await insertKey(tx, {
    id: newId(),
    ...key,
    userId,
    name: 'bootstrap',
    scopes: TENANT_SCOPES,
    isBootstrap: true,
    allowedAddresses: null,
    expiresAt: null,
    createdAt,
  })
}
