import { z } from 'zod'

/** What one execution may use at most. What is left out is not bounded. */
export const ExecutionLimits = z.strictObject({
  maxCostUsdMicros: z
    .int()
    .min(1)
    .max(1_000_000_000_000)
    .optional()
    .describe('Micro-USD (1 USD = 1,000,000) of all its model calls. Needs models whose price is known.'),
  maxTokens: z
    .int()
    .min(1)
    .max(1_000_000_000)
    .optional()
    .describe('Tokens of all its model calls, prompts and answers.'),
  maxSteps: z
    .int()
    .min(1)
    .max(100_000)
    .optional()
    .describe('Sub-steps begun; one that is retried counts again, one that is run again after a crash does not.'),
  maxWallMs: z
    .int()
    .min(1)
    .max(30 * 24 * 3_600_000)
    .optional()
    .describe('Milliseconds it runs. The clock stands while it waits for its turn, is paused or suspended.'),
})
export type ExecutionLimits = z.infer<typeof ExecutionLimits>

export type Limit = keyof ExecutionLimits

/** Longer than this and a timer would go off at once (32 bits). */
export const LONGEST_TIMER_MS = 2 ** 31 - 1

/** In the units of the limits. Of a call whose use nobody knows, the most it can have used. */
export interface LimitsUsed {
  costUsdMicros: number
  tokens: number
  steps: number
  wallMs: number
}

/** Null instead of limits that bound nothing. */
export function limitsOrNull(limits: ExecutionLimits | undefined): ExecutionLimits | null {
  const given = Object.entries(limits ?? {}).filter(([, value]) => value !== undefined)
  return given.length === 0 ? null : Object.fromEntries(given)
}
