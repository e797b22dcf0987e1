import { TenantNotFound } from '#features/identity/tenants/errors.ts'
import { findSettled } from '#features/identity/tenants/service/change-tenant.ts'
import type { ControlContext, TenantContext } from '#kit/context.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { Invoice, ListInvoicesQuery, UpdateInvoice } from './contract.ts'
import { InvoiceNotFound, InvoiceStatusConflict } from './errors.ts'
import * as operations from './operations.ts'
import * as rows from './repository.ts'

export function listInvoices(ctx: TenantContext, query: ListInvoicesQuery, page: PageRequest): Promise<Page<Invoice>> {
  return operations.listInvoices({ tenantId: ctx.tenant.id, db: ctx.db }, { status: query.status, page })
}

/** @throws InvoiceNotFound */
export async function getInvoice(ctx: TenantContext, id: string): Promise<Invoice> {
  const row = await rows.findInvoice(ctx.db, id)
  if (!row) throw new InvoiceNotFound()
  return rows.toInvoice(row, ctx.tenant.id)
}

/** @throws TenantNotFound, TenantPending */
export async function listTenantInvoices(
  ctx: ControlContext,
  tenantId: string,
  query: ListInvoicesQuery,
  page: PageRequest,
): Promise<Page<Invoice>> {
  const wanted: operations.InvoiceList = { status: query.status, page }
  return (await askTenant(ctx, tenantId, 'listInvoices', wanted)) as Page<Invoice>
}

/**
 * Opens, settles or voids an invoice; the status it has already answers the same.
 *
 * @throws TenantNotFound, TenantPending, InvoiceNotFound
 * @throws InvoiceStatusConflict when its status does not lead to the wanted one
 */
export async function updateTenantInvoice(
  ctx: ControlContext,
  tenantId: string,
  id: string,
  { status }: UpdateInvoice,
): Promise<Invoice> {
  const change: operations.InvoiceChange = { id, status, at: ctx.now().toISOString() }
  const changed = (await askTenant(ctx, tenantId, 'updateInvoice', change)) as operations.ChangedInvoice
  if (changed.outcome === 'not_found') throw new InvoiceNotFound()
  if (changed.outcome === 'refused') throw new InvoiceStatusConflict({ status: changed.status })
  return changed.invoice
}

/** @throws TenantNotFound, also when a purge is under way; TenantPending */
async function askTenant(ctx: ControlContext, tenantId: string, operation: string, input: object): Promise<unknown> {
  await findSettled(ctx, tenantId)
  try {
    return await ctx.tenants.run(tenantId, operation, input)
  } catch (error) {
    if (error instanceof NoTenantDatabase) throw new TenantNotFound()
    throw error
  }
}
