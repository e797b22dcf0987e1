import type { UsageColumns } from '#kit/db/tenant-tables.ts'
import type { CallRecord } from '../models/call.ts'
import type { TokenUsage } from '../usage.ts'

export const NOTHING_USED: UsageColumns = {
  prompt_tokens: 0,
  completion_tokens: 0,
  cached_tokens: 0,
  cost_usd_micros: 0,
  unpriced_calls: 0,
}

/** What these calls add to a row's usage. */
export function usageOf(calls: readonly CallRecord[]): UsageColumns {
  const total = { ...NOTHING_USED }
  for (const { usage, costUsdMicros } of calls) {
    total.prompt_tokens += usage.promptTokens
    total.completion_tokens += usage.completionTokens
    total.cached_tokens += usage.cachedTokens
    if (costUsdMicros === null) total.unpriced_calls += 1
    else total.cost_usd_micros += costUsdMicros
  }
  return total
}

export function toTokenUsage(row: UsageColumns): TokenUsage {
  return {
    promptTokens: row.prompt_tokens,
    completionTokens: row.completion_tokens,
    totalTokens: row.prompt_tokens + row.completion_tokens,
    cachedTokens: row.cached_tokens,
  }
}

/** Null as soon as one call's cost is not known: a part is not the whole. */
export function toCost(row: UsageColumns): number | null {
  return row.unpriced_calls > 0 ? null : row.cost_usd_micros
}
