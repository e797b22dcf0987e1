import { z } from 'zod'
import { defineError } from './errors.ts'

/** What a tenant may have or use. Months are calendar months in UTC. */
export const QUOTAS = [
  'maxUsers',
  'maxAgents',
  'maxExecutionsPerMonth',
  'maxTokensPerMonth',
  'maxConcurrentExecutions',
  'requestsPerMinute',
] as const
export type Quota = (typeof QUOTAS)[number]

/** Null: no limit. */
export type TenantLimits = Readonly<Record<Quota, number | null>>

export const UNLIMITED: TenantLimits = Object.fromEntries(QUOTAS.map((quota) => [quota, null])) as TenantLimits

export const QuotaExceeded = defineError({
  code: 'quota_exceeded',
  kind: 'forbidden',
  message: 'A quota of this tenant is used up.',
  details: z.object({ quota: z.enum(QUOTAS), limit: z.int(), used: z.int() }),
})

/** @throws QuotaExceeded when `used` leaves no room for one more */
export function assertRoom(limits: TenantLimits, quota: Quota, used: number): void {
  const limit = limits[quota]
  if (limit === null || used < limit) return
  throw new QuotaExceeded({ quota, limit, used }, { message: `The tenant's quota ${quota} of ${limit} is used up.` })
}
