import { z } from '@hono/zod-openapi'
import { defineError } from '#kit/errors.ts'

export const TenantSlugTaken = defineError({
  code: 'tenant_slug_taken',
  kind: 'conflict',
  message: 'There already is a tenant with this slug.',
  details: z.object({ slug: z.string() }),
})

export const TenantNotFound = defineError({
  code: 'tenant_not_found',
  kind: 'not_found',
  message: 'There is no such tenant.',
})

export const TenantPending = defineError({
  code: 'tenant_pending',
  kind: 'conflict',
  message: 'This tenant is still being created.',
})

export const PurgeNotConfirmed = defineError({
  code: 'purge_not_confirmed',
  kind: 'unprocessable',
  message: 'A purge needs the slug of the tenant in X-Confirm-Purge. Nothing was changed.',
})
