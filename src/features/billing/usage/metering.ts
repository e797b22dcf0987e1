import type { Metering } from '#desiagent/metering.ts'
import { readStanding } from '#features/identity/tenants/service.ts'
import { periodOf } from '#kit/billing-period.ts'
import { lockTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { TenantSuspended } from '#kit/http/errors.ts'
import { assertRoom, type TenantLimits } from '#kit/quotas.ts'
import type { Clock } from '#kit/time.ts'
import { linesOf } from './lines.ts'
import * as rows from './repository.ts'

export interface MeteringParts {
  newId: () => string
  now: Clock
}

/**
 * Quotas and usage records for desiAgent. Where a count bounds an insert the tenant is locked first, so that two
 * transactions cannot both take the last place; a tenant without that quota pays for neither.
 */
export function createMetering({ newId, now }: MeteringParts): Metering {
  return {
    async admitAgent(tx) {
      const limits = await limitsOfActive(tx)
      if (limits.maxAgents === null) return
      await lockTenant(tx)
      assertRoom(limits, 'maxAgents', await rows.countAgents(tx))
    },

    async admitExecution(tx) {
      const limits = await limitsOfActive(tx)
      const { maxExecutionsPerMonth, maxConcurrentExecutions } = limits
      if (maxExecutionsPerMonth === null && maxConcurrentExecutions === null) return
      await lockTenant(tx)
      // From the totals, not the executions: deleting one gives nothing back.
      if (maxExecutionsPerMonth !== null)
        assertRoom(limits, 'maxExecutionsPerMonth', await rows.sumExecutions(tx, periodOf(now())))
      if (maxConcurrentExecutions !== null)
        assertRoom(limits, 'maxConcurrentExecutions', await rows.countActiveExecutions(tx))
    },

    async admitResume(tx) {
      const limits = await limitsOfActive(tx)
      if (limits.maxConcurrentExecutions === null) return
      await lockTenant(tx)
      const others = (await rows.countActiveExecutions(tx)) - 1 // the resumed one is pending already
      assertRoom(limits, 'maxConcurrentExecutions', others)
    },

    async admitModelCall(db) {
      const limits = await limitsOfActive(db)
      if (limits.maxTokensPerMonth === null) return
      assertRoom(limits, 'maxTokensPerMonth', await rows.sumTokens(db, periodOf(now())))
    },

    async record(tx, used, at) {
      const lines = linesOf(used, at)
      if (lines.length === 0) return
      await rows.insertUsage(tx, lines, at, newId)
      await rows.addToTotals(tx, lines, periodOf(new Date(at)))
    },
  }
}

/** @throws TenantSuspended */
async function limitsOfActive(db: TenantDb): Promise<TenantLimits> {
  const { isActive, limits } = await readStanding(db)
  if (!isActive) throw new TenantSuspended()
  return limits
}
