import type { Selectable } from 'kysely'
import { boundsOf } from '#kit/billing-period.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import type { InvoicesTable, TenantDb } from '#kit/db/tenant-tables.ts'
import type { Invoice, LineItem } from './contract.ts'

export type InvoiceRow = Selectable<InvoicesTable>
export type InvoiceStatus = Invoice['status']

export interface NewInvoice {
  id: string
  /** `YYYY-MM`. */
  period: string
  lineItems: readonly LineItem[]
  totalUsdCents: number
  createdAt: string
}

/** Writes a draft, unless the month has its invoice: whoever is second changes nothing. */
export async function insertDraft(tx: TenantDb, invoice: NewInvoice): Promise<void> {
  const { id, period, lineItems, totalUsdCents, createdAt } = invoice
  await tx
    .insertInto('invoices')
    .values({
      id,
      period,
      status: 'draft',
      line_items: JSON.stringify(lineItems),
      total_usd_cents: totalUsdCents,
      issued_at: null,
      paid_at: null,
      voided_at: null,
      created_at: createdAt,
      updated_at: createdAt,
    })
    .onConflict((conflict) => conflict.column('period').doNothing())
    .execute()
}

export async function findInvoiceOfPeriod(db: TenantDb, period: string): Promise<InvoiceRow | null> {
  return (await db.selectFrom('invoices').selectAll().where('period', '=', period).executeTakeFirst()) ?? null
}

export async function findInvoice(db: TenantDb, id: string): Promise<InvoiceRow | null> {
  return (await db.selectFrom('invoices').selectAll().where('id', '=', id).executeTakeFirst()) ?? null
}

export async function listInvoices(
  db: TenantDb,
  status: InvoiceStatus | undefined,
  page: PageRequest,
): Promise<Page<InvoiceRow>> {
  const query = db.selectFrom('invoices').selectAll()
  return fetchPage(status === undefined ? query : query.where('status', '=', status), page)
}

const MOMENT_OF = { open: 'issued_at', paid: 'paid_at', void: 'voided_at' } as const

/** Moves an invoice on if it is in one of the states `from`. @returns whether it was */
export async function changeStatus(
  db: TenantDb,
  id: string,
  from: readonly InvoiceStatus[],
  to: Exclude<InvoiceStatus, 'draft'>,
  at: string,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('invoices')
    .set({ status: to, [MOMENT_OF[to]]: at, updated_at: at })
    .where('id', '=', id)
    .where('status', 'in', from)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

export function toInvoice(row: InvoiceRow, tenantId: string): Invoice {
  const lineItems = JSON.parse(row.line_items) as LineItem[]
  return {
    id: row.id,
    tenantId,
    period: boundsOf(row.period),
    status: row.status as InvoiceStatus,
    lineItems,
    totals: {
      totalUsdCents: row.total_usd_cents,
      unpricedLines: lineItems.filter(({ amountUsdCents }) => amountUsdCents === null).length,
    },
    issuedAt: row.issued_at,
    paidAt: row.paid_at,
    voidedAt: row.voided_at,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
