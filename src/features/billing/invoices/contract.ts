import { z } from '@hono/zod-openapi'
import { TenantNotFound, TenantPending } from '#features/identity/tenants/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { IdParam } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { Period, ResourceType, UnitCost } from '../usage/contract.ts'
import { InvoiceNotFound, InvoiceStatusConflict } from './errors.ts'

const tags = ['Billing']

export const INVOICE_STATUSES = ['draft', 'open', 'paid', 'void'] as const

const LineItem = z
  .object({
    resourceType: ResourceType,
    provider: z.string().nullable(),
    model: z.string().nullable(),
    quantity: z.int(),
    unitCost: UnitCost,
    amountUsdCents: z
      .int()
      .nullable()
      .openapi({ description: 'Quantity times unit cost, rounded to the cent once. Null: there is no price.' }),
  })
  .openapi('InvoiceLineItem')
export type LineItem = z.infer<typeof LineItem>

export const Invoice = z
  .object({
    id: z.uuid(),
    tenantId: z.uuid(),
    period: Period,
    status: z.enum(INVOICE_STATUSES).openapi({
      description: 'Written as a draft after the month’s end, open an hour later, then paid or void.',
    }),
    lineItems: z.array(LineItem),
    totals: z.object({
      totalUsdCents: z.int().openapi({ description: 'The sum of the lines that have a price.' }),
      unpricedLines: z.int(),
    }),
    issuedAt: z.iso.datetime().nullable().openapi({ description: 'When it was opened.' }),
    paidAt: z.iso.datetime().nullable(),
    voidedAt: z.iso.datetime().nullable(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Invoice')
export type Invoice = z.infer<typeof Invoice>

const ListInvoicesQuery = z.strictObject({ ...PageQuery, status: z.enum(INVOICE_STATUSES).optional() })
export type ListInvoicesQuery = z.infer<typeof ListInvoicesQuery>

export const UpdateInvoice = z.strictObject({ status: z.enum(['open', 'paid', 'void']) }).openapi('UpdateInvoice')
export type UpdateInvoice = z.infer<typeof UpdateInvoice>

const page = json(pageOf(Invoice).openapi('InvoicePage'), 'A page of invoices')

export const listInvoices = defineRoute({
  operationId: 'listInvoices',
  method: 'get',
  path: '/billing/invoices',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List the tenant’s invoices, newest first',
  request: { query: ListInvoicesQuery },
  responses: { 200: page },
})

export const getInvoice = defineRoute({
  operationId: 'getInvoice',
  method: 'get',
  path: '/billing/invoices/{id}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get an invoice',
  request: { params: IdParam },
  responses: { 200: json(Invoice, 'The invoice'), ...errors(InvoiceNotFound) },
})

export const listTenantInvoices = defineRoute({
  operationId: 'listTenantInvoices',
  method: 'get',
  path: '/admin/tenants/{id}/invoices',
  tags,
  scope: 'super_admin',
  home: 'control',
  summary: 'List the invoices of a tenant, newest first',
  request: { params: IdParam, query: ListInvoicesQuery },
  responses: { 200: page, ...errors(TenantNotFound, TenantPending) },
})

export const updateTenantInvoice = defineRoute({
  operationId: 'updateTenantInvoice',
  method: 'patch',
  path: '/admin/tenants/{id}/invoices/{invoiceId}',
  tags,
  scope: 'super_admin',
  home: 'control',
  summary: 'Open, settle or void an invoice of a tenant',
  description: 'Setting the status it has answers the same.',
  request: {
    params: z.object({ id: z.uuid(), invoiceId: z.uuid() }),
    body: { required: true, ...json(UpdateInvoice, 'Its new status') },
  },
  responses: {
    200: json(Invoice, 'The invoice'),
    ...errors(TenantNotFound, TenantPending, InvoiceNotFound, InvoiceStatusConflict),
  },
})
