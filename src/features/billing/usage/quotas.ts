import { countUsers } from '#features/identity/users/service/read-users.ts'
import type { TenantContext } from '#kit/context.ts'
import type { Quota } from '#kit/quotas.ts'
import type { CurrentUsage } from './contract.ts'
import * as rows from './repository.ts'

/** How much of each quota is taken. Calls a minute are no stock that is used up, so they are not among them. */
export async function listQuotas({ db, limits }: TenantContext, period: string): Promise<CurrentUsage['quotas']> {
  const used: Partial<Record<Quota, number>> = {
    maxUsers: await countUsers(db),
    maxAgents: await rows.countAgents(db),
    maxExecutionsPerMonth: await rows.sumExecutions(db, period),
    maxTokensPerMonth: await rows.sumTokens(db, period),
    maxConcurrentExecutions: await rows.countActiveExecutions(db),
  }
  return (Object.entries(used) as [Quota, number][]).map(([quota, count]) => ({
    quota,
    limit: limits[quota],
    used: count,
  }))
}
