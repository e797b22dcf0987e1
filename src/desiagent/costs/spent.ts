import { addUsage, NO_USAGE, type TokenUsage } from '../usage.ts'

export interface Spent {
  usage: TokenUsage
  /** Null: a part of it is not known. */
  costUsdMicros: number | null
}

/** What some calls of the ledger add up to. */
export interface CallSum {
  calls: number
  usage: TokenUsage
  /** What is known of the cost, also when a part of it is not. */
  knownCostUsdMicros: number
  /** Calls whose cost is not known. */
  unpricedCalls: number
}

const NO_CALLS: CallSum = { calls: 0, usage: NO_USAGE, knownCostUsdMicros: 0, unpricedCalls: 0 }

export function spentOn(parts: readonly Spent[]): Spent {
  return parts.reduce<Spent>(
    (sum, part) => ({
      usage: addUsage(sum.usage, part.usage),
      costUsdMicros: addCosts(sum.costUsdMicros, part.costUsdMicros),
    }),
    { usage: NO_USAGE, costUsdMicros: 0 },
  )
}

export function addCosts(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b
}

export function sumOf(parts: readonly CallSum[]): CallSum {
  return parts.reduce<CallSum>(
    (sum, part) => ({
      calls: sum.calls + part.calls,
      usage: addUsage(sum.usage, part.usage),
      knownCostUsdMicros: sum.knownCostUsdMicros + part.knownCostUsdMicros,
      unpricedCalls: sum.unpricedCalls + part.unpricedCalls,
    }),
    NO_CALLS,
  )
}

/** Null as soon as one call's cost is not known: a part is not the whole. */
export function costOf({ knownCostUsdMicros, unpricedCalls }: CallSum): number | null {
  return unpricedCalls > 0 ? null : knownCostUsdMicros
}
