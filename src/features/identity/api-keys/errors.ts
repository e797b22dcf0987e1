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

export const AddressNotGrantable = defineError({
  code: 'address_not_grantable',
  kind: 'forbidden',
  message: 'Without the `admin` scope, a key can be given only addresses that the key making it is bound to.',
  details: z.object({ grantable: z.array(z.string()) }),
})

export const ExpiryNotGrantable = defineError({
  code: 'expiry_not_grantable',
  kind: 'forbidden',
  message: 'Without the `admin` scope, a key cannot be made to outlast the key making it.',
  details: z.object({ latestExpiresAt: z.iso.datetime() }),
})

export const ServiceKeyForbidden = defineError({
  code: 'service_key_forbidden',
  kind: 'forbidden',
  message: 'Keys of the tenant or of other users are for callers with the `admin` scope.',
})

export const ApiKeyEnded = defineError({
  code: 'api_key_ended',
  kind: 'conflict',
  message: 'This API key is revoked or expired and cannot be rotated.',
})

export const ApiKeyTooOld = defineError({
  code: 'api_key_too_old',
  kind: 'unprocessable',
  message: 'API keys of this tenant may not last that long.',
  details: z.object({ maxAgeDays: z.int() }),
})
