import type { App } from '#kit/http/env.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import * as contract from './contract.ts'
import * as invoices from './service.ts'

export function mountInvoices(app: App): void {
  app.openapi(contract.listInvoices, async (c) => {
    const query = c.req.valid('query')
    const page = await invoices.listInvoices(c.get('tenant'), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.getInvoice, async (c) =>
    c.json(await invoices.getInvoice(c.get('tenant'), c.req.valid('param').id), 200),
  )

  app.openapi(contract.listTenantInvoices, async (c) => {
    const query = c.req.valid('query')
    const { id } = c.req.valid('param')
    const page = await invoices.listTenantInvoices(c.get('control'), id, query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.updateTenantInvoice, async (c) => {
    const { id, invoiceId } = c.req.valid('param')
    const invoice = await invoices.updateTenantInvoice(c.get('control'), id, invoiceId, c.req.valid('json'))
    return c.json(invoice, 200)
  })
}
