import type { Metering } from '#desiagent/metering.ts'
import { readStanding, type Standing, standingOf } from '#features/identity/tenants/service.ts'
import { periodOf } from '#kit/billing-period.ts'
import { lockTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { TenantSuspended } from '#kit/http/errors.ts'
import { assertRoom, type TenantLimits } from '#kit/quotas.ts'
import { type Clock, sleep } from '#kit/time.ts'
import { linesOf } from './lines.ts'
import * as rows from './repository.ts'
import { deleteReservations, sumTokensTaken } from './reservations-repository.ts'
import { reserveTokens } from './reserve-tokens.ts'

const WAIT_MS = 250
const LONGEST_WAIT_MS = 10_000

export interface MeteringParts {
  newId: () => string
  now: Clock
}

/**
 * Quotas and usage records for desiAgent. Where a count bounds an insert the tenant is locked first, so that two
 * transactions cannot both take the last place, and the limits are read again from the row that was locked: they may
 * have changed while we waited. A tenant without that quota pays for neither.
 */
export function createMetering({ newId, now }: MeteringParts): Metering {
  return {
    async admitAgent(tx) {
      const { maxAgents } = await limitsOfActive(tx)
      if (maxAgents === null) return
      const limits = await lockLimits(tx)
      assertRoom(limits, 'maxAgents', await rows.countAgents(tx))
    },

    async admitExecution(tx) {
      const found = await limitsOfActive(tx)
      if (found.maxExecutionsPerMonth === null && found.maxConcurrentExecutions === null) return
      const limits = await lockLimits(tx)
      // From the totals, not the executions: deleting one gives nothing back.
      if (limits.maxExecutionsPerMonth !== null)
        assertRoom(limits, 'maxExecutionsPerMonth', await rows.sumExecutions(tx, periodOf(now())))
      if (limits.maxConcurrentExecutions !== null)
        assertRoom(limits, 'maxConcurrentExecutions', await rows.countActiveExecutions(tx))
    },

    async admitResume(tx) {
      const { maxConcurrentExecutions } = await limitsOfActive(tx)
      if (maxConcurrentExecutions === null) return
      const limits = await lockLimits(tx)
      const others = (await rows.countActiveExecutions(tx)) - 1 // the resumed one is pending already
      assertRoom(limits, 'maxConcurrentExecutions', others)
    },

    async admitModelCall(db) {
      const limits = await limitsOfActive(db)
      if (limits.maxTokensPerMonth === null) return
      const moment = now()
      const { used, reserved } = await sumTokensTaken(db, periodOf(moment), moment.toISOString())
      assertRoom(limits, 'maxTokensPerMonth', used + reserved)
    },

    async reserveModelCall(db, estimate) {
      const asAsked = { reservationId: null, maxTokens: estimate.maxTokens }
      const { maxTokensPerMonth } = await limitsOfActive(db)
      if (maxTokensPerMonth === null) return asAsked
      const reserve = (isPatient: boolean) =>
        transaction(db, async (tx) => {
          const { maxTokensPerMonth: limit } = await lockLimits(tx)
          return limit === null ? asAsked : reserveTokens(tx, limit, { ...estimate, isPatient }, now(), newId())
        })
      // What calls in flight have set aside they mostly give back: worth a wait, not worth a suspension.
      for (let waitedMs = 0; waitedMs < LONGEST_WAIT_MS && !estimate.signal.aborted; waitedMs += WAIT_MS) {
        const admission = await reserve(true)
        if (admission) return admission
        await sleep(WAIT_MS, estimate.signal)
      }
      return (await reserve(false)) ?? asAsked
    },

    async record(tx, used, at) {
      const reservationIds = (used.calls ?? []).flatMap(({ reservationId }) => reservationId ?? [])
      await deleteReservations(tx, reservationIds)
      const lines = linesOf(used, at)
      if (lines.length === 0) return
      await rows.insertUsage(tx, lines, at, newId)
      await rows.addToTotals(tx, lines, periodOf(new Date(at)))
    },
  }
}

/** @throws TenantSuspended */
async function limitsOfActive(db: TenantDb): Promise<TenantLimits> {
  return limitsIfActive(await readStanding(db))
}

/** The same from the tenant's row as it is once it is locked. @throws TenantSuspended */
async function lockLimits(tx: TenantDb): Promise<TenantLimits> {
  return limitsIfActive(standingOf(await lockTenant(tx)))
}

function limitsIfActive({ isActive, limits }: Standing): TenantLimits {
  if (!isActive) throw new TenantSuspended()
  return limits
}
