import { boundsOf, nextInvoiceDue } from '#kit/billing-period.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { newId } from '#kit/ids.ts'
import { addMilliseconds } from '#kit/time.ts'
import { usdCentsOf } from '../usage/amounts.ts'
import { listTotals, type UsageTotal } from '../usage/repository.ts'
import type { Invoice, LineItem, UpdateInvoice } from './contract.ts'
import * as rows from './repository.ts'

/** A tenant's open database, and whose it is. */
interface Home {
  tenantId: string
  db: TenantDb
}

/** How long a draft can be looked at before it is opened. */
const DRAFT_MS = 60 * 60_000

export interface MonthToClose {
  /** `YYYY-MM`. */
  period: string
  /** The moment it is (ISO 8601). */
  at: string
}

export interface ClosedMonth {
  /** When it wants to be asked again (ISO 8601); null: there is nothing left to do. */
  again: string | null
}

/**
 * Writes the invoice of a month that is over as a draft, and opens it an hour later. As often as it is asked for, by
 * whomever, the month gets one invoice; one without usage gets none.
 */
export async function closeMonth({ db }: Home, { period, at }: MonthToClose): Promise<ClosedMonth> {
  const { start, end } = boundsOf(period)
  if (at < end) return { again: nextInvoiceDue(new Date(start)).at }
  await writeDraft(db, period, at)
  const invoice = await rows.findInvoiceOfPeriod(db, period)
  if (invoice?.status !== 'draft') return { again: null }
  const opensAt = addMilliseconds(new Date(invoice.created_at), DRAFT_MS).toISOString()
  if (at < opensAt) return { again: opensAt }
  await rows.changeStatus(db, invoice.id, ['draft'], 'open', at)
  return { again: null }
}

async function writeDraft(db: TenantDb, period: string, at: string): Promise<void> {
  await transaction(db, async (tx) => {
    const lineItems = (await listTotals(tx, period)).map(lineItem)
    if (lineItems.length === 0) return
    const totalUsdCents = lineItems.reduce((sum, { amountUsdCents }) => sum + (amountUsdCents ?? 0), 0)
    await rows.insertDraft(tx, { id: newId(), period, lineItems, totalUsdCents, createdAt: at })
  })
}

function lineItem({ resourceType, provider, model, quantity, unitCost }: UsageTotal): LineItem {
  return { resourceType, provider, model, quantity, unitCost, amountUsdCents: usdCentsOf(quantity, unitCost) }
}

export interface InvoiceList {
  status: Invoice['status'] | undefined
  page: PageRequest
}

export async function listInvoices({ tenantId, db }: Home, { status, page }: InvoiceList): Promise<Page<Invoice>> {
  const found = await rows.listInvoices(db, status, page)
  return { ...found, rows: found.rows.map((row) => rows.toInvoice(row, tenantId)) }
}

export interface InvoiceChange {
  id: string
  status: UpdateInvoice['status']
  /** ISO 8601. */
  at: string
}

/** What came of a change: the invoice as it is now, unless there is none or its status does not allow it. */
export type ChangedInvoice =
  | { outcome: 'changed'; invoice: Invoice }
  | { outcome: 'refused'; status: Invoice['status'] }
  | { outcome: 'not_found' }

const MAY_BECOME: Record<UpdateInvoice['status'], readonly Invoice['status'][]> = {
  open: ['draft'],
  paid: ['open'],
  void: ['draft', 'open'],
}

/** Opens, settles or voids an invoice. Asking for the status it has changes nothing. */
export async function updateInvoice({ tenantId, db }: Home, change: InvoiceChange): Promise<ChangedInvoice> {
  const { id, status, at } = change
  await rows.changeStatus(db, id, MAY_BECOME[status], status, at)
  const row = await rows.findInvoice(db, id)
  if (!row) return { outcome: 'not_found' }
  if (row.status !== status) return { outcome: 'refused', status: row.status as Invoice['status'] }
  return { outcome: 'changed', invoice: rows.toInvoice(row, tenantId) }
}
