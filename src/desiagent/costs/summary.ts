import type { TenantDb } from '#kit/db/tenant-tables.ts'
import {
  type CallGroup,
  type CallGrouping,
  type CallRange,
  sumCallsBetween,
  sumCallsByGroup,
} from '../store/call-sums.ts'
import { addUsage } from '../usage.ts'
import { isoWeek } from './iso-week.ts'
import { type CallSum, costOf, type Spent, sumOf } from './spent.ts'

export type CostGrouping = CallGrouping | 'week'

export interface CostRange extends CallRange {
  groupBy: CostGrouping
}

type Sum = Spent & CallSum

export interface CostSummary extends CostRange {
  totals: Sum
  /**
   * Times in their order; all else the dearest first. Key null: calls without an agent, or by a service key. Groups past
   * the 499 dearest are one, `(other)`, at the end.
   */
  groups: (Sum & { key: string | null })[]
}

const MOST_GROUPS = 500

/** Adds up the calls of a range. The caller bounds the range: there is a group for each of its days. */
export async function readSummary(tx: TenantDb, { from, before, groupBy }: CostRange): Promise<CostSummary> {
  const range = { from, before }
  const groups = isTime(groupBy) ? await groupsOfTime(tx, range, groupBy) : await dearestGroups(tx, range, groupBy)
  return {
    ...range,
    groupBy,
    totals: withCost(sumOf(groups)),
    groups: groups.map((group) => ({ key: group.key, ...withCost(group) })),
  }
}

type Time = 'day' | 'week' | 'month'

function isTime(groupBy: CostGrouping): groupBy is Time {
  return groupBy === 'day' || groupBy === 'week' || groupBy === 'month'
}

/** Weeks are put together from days: no two of our databases agree on how to say "ISO week". */
async function groupsOfTime(tx: TenantDb, range: CallRange, groupBy: Time): Promise<CallGroup[]> {
  const groups = await sumCallsByGroup(tx, range, groupBy === 'week' ? 'day' : groupBy)
  const inOrder = groups.toSorted((a, b) => ((a.key ?? '') < (b.key ?? '') ? -1 : 1))
  if (groupBy !== 'week') return inOrder
  const weeks = Map.groupBy(inOrder, ({ key }) => isoWeek(key ?? ''))
  return [...weeks].map(([key, days]) => ({ key, ...sumOf(days) }))
}

/** A tenant may have more users than an answer has room for; the sums must add up to the totals all the same. */
async function dearestGroups(tx: TenantDb, range: CallRange, groupBy: CallGrouping): Promise<CallGroup[]> {
  const groups = await sumCallsByGroup(tx, range, groupBy, MOST_GROUPS + 1)
  if (groups.length <= MOST_GROUPS) return groups
  const dearest = groups.slice(0, MOST_GROUPS - 1)
  const others = without(await sumCallsBetween(tx, range), sumOf(dearest))
  return [...dearest, { key: '(other)', ...others }]
}

function without(all: CallSum, part: CallSum): CallSum {
  const { promptTokens, completionTokens, totalTokens, cachedTokens } = part.usage
  const taken = {
    promptTokens: -promptTokens,
    completionTokens: -completionTokens,
    totalTokens: -totalTokens,
    cachedTokens: -cachedTokens,
  }
  return {
    calls: all.calls - part.calls,
    usage: addUsage(all.usage, taken),
    knownCostUsdMicros: all.knownCostUsdMicros - part.knownCostUsdMicros,
    unpricedCalls: all.unpricedCalls - part.unpricedCalls,
  }
}

function withCost(sum: CallSum): Sum {
  const { calls, usage, knownCostUsdMicros, unpricedCalls } = sum
  return { calls, usage, costUsdMicros: costOf(sum), knownCostUsdMicros, unpricedCalls }
}
