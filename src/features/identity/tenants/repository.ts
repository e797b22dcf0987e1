import type { ControlDb, ControlTables } from '#kit/db/control-tables.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Tenant } from './contract.ts'

type TenantRow = ControlTables['tenants']

export async function insertTenant(db: ControlDb, tenant: Tenant): Promise<void> {
  await db
    .insertInto('tenants')
    .values({
      id: tenant.id,
      name: tenant.name,
      slug: tenant.slug,
      status: tenant.status,
      plan: tenant.plan,
      quotas: '{}',
      created_at: tenant.createdAt,
      updated_at: tenant.updatedAt,
    })
    .execute()
}

export async function setTenantStatus(db: ControlDb, id: string, status: Tenant['status'], now: string): Promise<void> {
  await db.updateTable('tenants').set({ status, updated_at: now }).where('id', '=', id).execute()
}

export async function findTenantBySlug(db: ControlDb, slug: string): Promise<Tenant | null> {
  const row = await db.selectFrom('tenants').selectAll().where('slug', '=', slug).executeTakeFirst()
  return row ? toTenant(row) : null
}

export async function listTenants(db: ControlDb, page: PageRequest): Promise<Page<TenantRow>> {
  return fetchPage(db.selectFrom('tenants').selectAll(), page)
}

/** Removes a tenant that never became one; its keys lead nowhere afterwards. */
export async function deletePendingTenant(db: ControlDb, id: string): Promise<void> {
  await db.deleteFrom('key_index').where('tenant_id', '=', id).execute()
  await db.deleteFrom('tenants').where('id', '=', id).where('status', '=', 'pending').execute()
}

/** What the tenant's own database knows of itself, so that a request needs no other. */
export async function insertTenantRecord(tx: TenantDb, tenant: Tenant): Promise<void> {
  const { id, name, slug, plan, createdAt } = tenant
  await tx
    .insertInto('tenant')
    .values({ id, name, slug, status: 'active', plan, quotas: '{}', updated_at: createdAt })
    .execute()
}

export function toTenant(row: TenantRow): Tenant {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    status: row.status as Tenant['status'],
    plan: row.plan as Tenant['plan'],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
