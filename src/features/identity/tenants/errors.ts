import { z } from '@hono/zod-openapi'
import { defineError } from '#kit/errors.ts'

export const TenantSlugTaken = defineError({
  code: 'tenant_slug_taken',
  kind: 'conflict',
  message: 'There already is a tenant with this slug.',
  details: z.object({ slug: z.string() }),
})
