import { z } from '@hono/zod-openapi'
import { defineError } from '#kit/errors.ts'

export const ApiKeyNotFound = defineError({
  code: 'api_key_not_found',
  kind: 'not_found',
  message: 'There is no such API key.',
})

export const ScopeNotGrantable = defineError({
  code: 'scope_not_grantable',
  kind: 'forbidden',
  message: 'A key can be given only scopes that the key making it holds.',
  details: z.object({ missing: z.array(z.string()) }),
})
