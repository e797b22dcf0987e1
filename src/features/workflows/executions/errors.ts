import { z } from '@hono/zod-openapi'
import { defineError } from '#kit/errors.ts'

export const TooManyStreams = defineError({
  code: 'too_many_streams',
  kind: 'too_many',
  message: 'Too many event streams are open for this tenant.',
  details: z.object({ limit: z.int() }),
})
