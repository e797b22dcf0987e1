import type { Selectable } from 'kysely'
import type { ControlDb, ControlTables } from '#kit/db/control-tables.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { prepared } from '#kit/db/prepared.ts'
import { foundBy, putSearchWords, removeSearchWords } from '#kit/db/search.ts'
import type { TenantDb, TenantTable, TenantTables } from '#kit/db/tenant-tables.ts'
import type { Tenant } from './contract.ts'
import { limitsOfRow, type QuotaOverrides, readOverrides } from './plans.ts'

/** A creation that did not end and is being removed; to everybody else it is as pending as before. */
const CLEARING = 'clearing'

type TenantRow = ControlTables['tenants']

export async function insertTenant(db: ControlDb, tenant: Tenant, overrides: QuotaOverrides): Promise<void> {
  await db
    .insertInto('tenants')
    .values({
      id: tenant.id,
      name: tenant.name,
      slug: tenant.slug,
      status: tenant.status,
      plan: tenant.plan,
      quotas: JSON.stringify(overrides),
      created_at: tenant.createdAt,
      updated_at: tenant.updatedAt,
    })
    .execute()
  await putSearchWords(db, 'tenant', tenant.id, [tenant.name, tenant.slug])
}

/** Ends a creation. @returns false when it took so long that it was cleared away */
export async function activateTenant(tx: ControlDb, id: string): Promise<boolean> {
  const { numUpdatedRows } = await tx
    .updateTable('tenants')
    .set({ status: 'active' })
    .where('id', '=', id)
    .where('status', '=', 'pending')
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** A row as it is kept: `quotas` only holds what differs from the plan. */
export interface StoredTenant {
  tenant: Tenant
  quotaOverrides: QuotaOverrides
}

export async function findTenant(db: ControlDb, id: string): Promise<StoredTenant | null> {
  const row = await db.selectFrom('tenants').selectAll().where('id', '=', id).executeTakeFirst()
  return row ? { tenant: toTenant(row), quotaOverrides: readOverrides(row.quotas) } : null
}

export interface TenantChange {
  name?: string | undefined
  status?: Tenant['status'] | undefined
  plan?: Tenant['plan'] | undefined
  /** Takes the place of all overrides. */
  quotas?: QuotaOverrides | undefined
}

/**
 * Changes what is given and nothing else, so that of two changes at once neither undoes the other. Without a difference
 * `updated_at` stays. Two tables: run it in a transaction, which holds the row until it ends.
 *
 * @returns false when there is no such tenant, or it is being created
 */
export async function updateTenant(tx: ControlDb, id: string, change: TenantChange, now: string): Promise<boolean> {
  const columns = columnsOf(change)
  const row = await tx
    .updateTable('tenants')
    .set((eb) => {
      const differing = columns.map(([column, value]) => eb(column, '!=', value))
      const updatedAt = eb.case().when(eb.or(differing)).then(now).else(eb.ref('updated_at')).end()
      return { ...Object.fromEntries(columns), updated_at: updatedAt }
    })
    .where('id', '=', id)
    .where('status', '!=', 'pending')
    .returning(['name', 'slug'])
    .executeTakeFirst()
  if (row && change.name !== undefined) await putSearchWords(tx, 'tenant', id, [row.name, row.slug])
  return row !== undefined
}

function columnsOf({ name, status, plan, quotas }: TenantChange) {
  const columns = { name, status, plan, quotas: quotas && JSON.stringify(quotas) }
  const given = Object.entries(columns).filter(([, value]) => value !== undefined)
  return given as [keyof typeof columns, string][]
}

export async function findTenantBySlug(db: ControlDb, slug: string): Promise<Tenant | null> {
  const row = await db.selectFrom('tenants').selectAll().where('slug', '=', slug).executeTakeFirst()
  return row ? toTenant(row) : null
}

export interface TenantFilter {
  status?: Tenant['status'] | undefined
  plan?: Tenant['plan'] | undefined
  search?: string | undefined
  createdFrom?: string | undefined
  createdBefore?: string | undefined
}

export async function listTenants(db: ControlDb, filter: TenantFilter, page: PageRequest): Promise<Page<Tenant>> {
  let query = db.selectFrom('tenants').selectAll()
  if (filter.status !== undefined)
    query = query.where('status', 'in', filter.status === 'pending' ? ['pending', CLEARING] : [filter.status])
  if (filter.plan !== undefined) query = query.where('plan', '=', filter.plan)
  if (filter.createdFrom !== undefined) query = query.where('created_at', '>=', filter.createdFrom)
  if (filter.createdBefore !== undefined) query = query.where('created_at', '<', filter.createdBefore)
  if (filter.search !== undefined) query = query.where(await foundBy(db, 'tenant', 'tenants.id', filter.search))
  const found = await fetchPage(query, page)
  return { ...found, rows: found.rows.map(toTenant) }
}

/**
 * Deletes a tenant and whatever leads to it. Its row first: whoever changes it holds the row, and so has written by then
 * what there will be to delete.
 *
 * @returns how many keys and invitations led to it; null when there was no such tenant
 */
export async function deleteTenant(tx: ControlDb, id: string): Promise<number | null> {
  const { numDeletedRows } = await tx.deleteFrom('tenants').where('id', '=', id).executeTakeFirstOrThrow()
  const credentials = await deleteWhatLeadsTo(tx, id)
  return numDeletedRows === 1n ? credentials : null
}

/** @returns false when there is no such tenant, or it is no creation that did not end */
export async function beginClearing(db: ControlDb, id: string): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('tenants')
    .set({ status: CLEARING })
    .where('id', '=', id)
    .where('status', 'in', ['pending', CLEARING])
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** Removes a tenant that never became one, or what is left of it; of any other nothing. */
export async function deletePendingTenant(tx: ControlDb, id: string): Promise<void> {
  await tx.deleteFrom('tenants').where('id', '=', id).where('status', '=', CLEARING).execute()
  const row = await tx.selectFrom('tenants').select('id').where('id', '=', id).executeTakeFirst()
  if (!row) await deleteWhatLeadsTo(tx, id)
}

/** @returns how many keys and invitations did */
async function deleteWhatLeadsTo(tx: ControlDb, id: string): Promise<number> {
  const { numDeletedRows } = await tx.deleteFrom('key_index').where('tenant_id', '=', id).executeTakeFirstOrThrow()
  await tx.deleteFrom('due_work').where('tenant_id', '=', id).execute()
  await tx.deleteFrom('idempotency_keys').where('resource_id', '=', id).execute() // with its first key, sealed
  await removeSearchWords(tx, 'tenant', id)
  return Number(numDeletedRows)
}

/** What the tenant's own database knows of itself, so that a request needs no other. */
export async function insertTenantRecord(tx: TenantDb, tenant: Tenant, overrides: QuotaOverrides): Promise<void> {
  const { id, name, slug, plan, createdAt } = tenant
  await tx
    .insertInto('tenant')
    .values({ id, name, slug, status: 'active', plan, quotas: JSON.stringify(overrides), updated_at: createdAt })
    .execute()
}

/** Whom the tenant was created with: the user of the oldest bootstrap key. Null when it was created without an admin. */
export async function findFirstAdmin(db: TenantDb): Promise<{ id: string; email: string } | null> {
  const row = await db
    .selectFrom('api_keys as k')
    .innerJoin('users as u', 'u.id', 'k.user_id')
    .select(['u.id', 'u.email'])
    .where('k.is_bootstrap', '=', 1)
    .orderBy('k.created_at')
    .orderBy('k.id')
    .limit(1)
    .executeTakeFirst()
  return row ?? null
}

type TenantRecordRow = Selectable<TenantTable>

/** What may change in it. */
export type TenantRecord = Required<TenantChange> & { updatedAt: string }

/** Brings the tenant's own copy up to date. */
export async function setTenantRecord(db: TenantDb, record: TenantRecord): Promise<void> {
  const { name, status, plan, quotas, updatedAt } = record
  await db
    .updateTable('tenant')
    .set({ name, status, plan, quotas: JSON.stringify(quotas), updated_at: updatedAt })
    .execute()
}

const ownRecord = prepared<TenantTables, Record<never, never>, TenantRecordRow>((db) =>
  db.selectFrom('tenant').selectAll(),
)

/** The one row. */
export async function getTenantRecord(db: TenantDb): Promise<TenantRecordRow> {
  const [row] = await ownRecord(db, {})
  if (!row) throw new Error('a tenant database without its record')
  return row
}

export function toTenant(row: TenantRow): Tenant {
  return {
    id: row.id,
    name: row.name,
    slug: row.slug,
    status: row.status === CLEARING ? 'pending' : (row.status as Tenant['status']),
    plan: row.plan as Tenant['plan'],
    quotas: limitsOfRow(row.plan, row.quotas),
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
