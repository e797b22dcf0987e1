import { countUsers } from '#features/identity/users/service/read-users.ts'
import type { TenantContext } from '#kit/context.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Quota } from '#kit/quotas.ts'
import type { CurrentUsage } from './contract.ts'
import * as rows from './repository.ts'

/** Calls a minute are no stock that is used up. */
type StockQuota = Exclude<Quota, 'requestsPerMinute'>

/** How much of each quota is taken now. @param period  the month that counts, `YYYY-MM` */
export async function readTaken(db: TenantDb, period: string): Promise<Record<StockQuota, number>> {
  return {
    maxUsers: await countUsers(db),
    maxAgents: await rows.countAgents(db),
    maxExecutionsPerMonth: await rows.sumExecutions(db, period),
    maxTokensPerMonth: await rows.sumTokens(db, period),
    maxConcurrentExecutions: await rows.countActiveExecutions(db),
  }
}

export async function listQuotas({ db, limits }: TenantContext, period: string): Promise<CurrentUsage['quotas']> {
  const taken = await readTaken(db, period)
  return (Object.entries(taken) as [StockQuota, number][]).map(([quota, used]) => ({
    quota,
    limit: limits[quota],
    used,
  }))
}
