import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Metering } from '../metering.ts'
import type { AskLeave, CallEstimate, Leave } from '../models/call.ts'
import type { Model } from '../models/model.ts'
import { type Bound, type Budget, type Charge, NOTHING_CHARGED } from './budget.ts'

/** Where a reservation is written down, so that a process that dies in a call leaves what it may have used behind. */
export interface Reservations {
  keep(bound: Bound): Promise<void>
  forget(bound: Bound): Promise<void>
}

export const NOT_KEPT: Reservations = { keep: async () => {}, forget: async () => {} }

/** Calls are let in by the limits of their execution first, then by whoever bills. */
export function leaveUnder(db: TenantDb, metering: Metering, budget: Budget, reservations: Reservations): AskLeave {
  return (model, estimate) =>
    budget.isUnbounded
      ? leaveOfMetering(db, metering, budget, estimate)
      : leaveOfBoth(db, metering, budget, reservations, model, estimate)
}

/** Nothing is set aside of the limits, but what the call uses is counted: they may come later. */
async function leaveOfMetering(
  db: TenantDb,
  metering: Metering,
  budget: Budget,
  estimate: CallEstimate,
): Promise<Leave> {
  const admission = await metering.reserveModelCall(db, estimate)
  const isSqueezed = admission.maxTokens !== estimate.maxTokens
  const settle = (charge: Charge) => budget.settle(NOTHING_CHARGED, charge)
  return { ...admission, bound: null, squeezedBy: isSqueezed ? 'quota' : null, settle }
}

async function leaveOfBoth(
  db: TenantDb,
  metering: Metering,
  budget: Budget,
  reservations: Reservations,
  model: Model,
  estimate: CallEstimate,
): Promise<Leave> {
  const bound = await budget.reserve(model, {
    promptTokensAtMost: estimate.promptTokensAtMost(),
    maxTokens: estimate.maxTokens,
    signal: estimate.signal,
  })
  let isKept = false
  try {
    await reservations.keep(bound)
    isKept = true
    const { maxTokens } = bound
    const admitted = await leaveOfMetering(db, metering, budget, { ...estimate, maxTokens })
    const squeezedBy = admitted.squeezedBy ?? (bound.isSqueezed ? 'limit' : null)
    return { ...admitted, bound, squeezedBy, settle: (charge) => budget.settle(bound, charge) }
  } catch (error) {
    budget.settle(bound, NOTHING_CHARGED)
    if (isKept) await reservations.forget(bound)
    throw error
  }
}
