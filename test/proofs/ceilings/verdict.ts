import type { ExecutionLimits, LimitsUsed } from '#desiagent/limits.ts'
import type { Truth } from './honest-model.ts'

/** What the views say of a piece of work that has come to rest. */
export interface Told {
  limitsUsed: LimitsUsed | null
  /** Of `GET /costs/executions/{id}`: with planning when that counts too. Cost null: a part of it is not known. */
  cost: { tokens: number; costUsdMicros: number | null }
  /** Null: it was resumed, and some have begun again. */
  tasksStarted: number | null
  /** From its first event to its last; null: it rested in between. */
  eventsMs: number | null
}

/**
 * How far it went beyond one of its limits, in that limit's unit.
 *
 * @param told    null: it never became an execution
 * @param lateMs  what timers may be late
 */
export function faultsInCeilings(limits: ExecutionLimits, truth: Truth, told: Told | null, lateMs: number): string[] {
  const faults: string[] = []
  const atMost = (limit: keyof ExecutionLimits, used: number | null | undefined, what: string, slack = 0) => {
    const value = limits[limit] ?? Number.POSITIVE_INFINITY
    const isKept = used === null || used === undefined || used <= value + slack
    if (!isKept) faults.push(`${limit} ${value}, ${what} ${used}`)
  }
  atMost('maxTokens', truth.tokens, 'really used')
  atMost('maxCostUsdMicros', truth.costUsdMicros, 'really used')
  if (!told) return faults
  const { limitsUsed, cost, tasksStarted, eventsMs } = told
  atMost('maxTokens', cost.tokens, 'the costs say')
  atMost('maxCostUsdMicros', cost.costUsdMicros, 'the costs say')
  atMost('maxTokens', limitsUsed?.tokens, 'limitsUsed says')
  atMost('maxCostUsdMicros', limitsUsed?.costUsdMicros, 'limitsUsed says')
  atMost('maxSteps', limitsUsed?.steps, 'limitsUsed says')
  atMost('maxSteps', tasksStarted, 'the events say')
  atMost('maxWallMs', limitsUsed?.wallMs, 'limitsUsed says', lateMs)
  atMost('maxWallMs', eventsMs, 'the events say', lateMs)
  if (!limitsUsed) return [...faults, 'limitsUsed says nothing']
  // Where nothing bounds an answer nobody can say the most that a broken call has used.
  const isBounded = limits.maxTokens !== undefined || limits.maxCostUsdMicros !== undefined
  if (isBounded && limitsUsed.tokens < truth.tokens)
    faults.push(`really used ${truth.tokens} tokens, counted ${limitsUsed.tokens}`)
  if (limits.maxCostUsdMicros !== undefined && limitsUsed.costUsdMicros < truth.costUsdMicros)
    faults.push(`really used ${truth.costUsdMicros} micro-USD, counted ${limitsUsed.costUsdMicros}`)
  if (tasksStarted !== null && limitsUsed.steps !== tasksStarted)
    faults.push(`${tasksStarted} tasks began, counted ${limitsUsed.steps}`)
  return faults
}
