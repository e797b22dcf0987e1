import { z } from '@hono/zod-openapi'
import { defineError } from '#kit/errors.ts'

export const InvoiceNotFound = defineError({
  code: 'invoice_not_found',
  kind: 'not_found',
  message: 'There is no such invoice.',
})

export const InvoiceStatusConflict = defineError({
  code: 'invoice_status_conflict',
  kind: 'conflict',
  message: 'A draft can be opened or voided, an open invoice paid or voided; paid and void are ends.',
  details: z.object({ status: z.string() }),
})
