import type { Used } from '#desiagent/metering.ts'
import { unitPricesOf } from '#desiagent/models/prices.ts'
import type { LedgerEntry } from '#desiagent/store/model-calls.ts'
import { percentOf, usdMicrosOf } from './amounts.ts'
import type { ResourceType } from './contract.ts'
import { type OwnResource, type PriceVersion, pricesAt } from './price-book.ts'

/** So much of one resource, at its price. */
export interface UsageLine {
  resourceType: ResourceType
  quantity: number
  /** Pico-USD per unit; null: there is no price. */
  unitCost: number | null
  priceVersion: string
  /** Their product, rounded once. */
  costUsdMicros: number | null
  provider: string | null
  model: string | null
  agentName: string | null
  userId: string | null
  dagId: string | null
  executionId: string | null
  subStepId: string | null
}

/** What was used, a line for each resource, at the prices of the moment `at` (ISO 8601). Nothing used is no line. */
export function linesOf(used: Used, at: string): UsageLine[] {
  const prices = pricesAt(at)
  const { calls = [], executions = 0, computeMs = 0, storageBytes = 0 } = used
  return [
    ...ownLine(used, prices, 'executions', executions),
    ...calls.flatMap((call) => tokenLines(call, prices)),
    ...ownLine(used, prices, 'compute_ms', computeMs),
    ...ownLine(used, prices, 'storage_bytes', storageBytes),
  ]
}

const NO_MODEL = { provider: null, model: null, agentName: null }

function ownLine({ for: usedFor }: Used, prices: PriceVersion, resourceType: OwnResource, quantity: number) {
  const { version, picoUsdPerUnit } = prices
  const { dagId, executionId, subStepId, userId } = usedFor
  const whose = { ...NO_MODEL, dagId, executionId, subStepId, userId }
  return line(whose, resourceType, quantity, picoUsdPerUnit[resourceType], version)
}

/** A call whose usage nobody knows (the connection broke) has counted nothing, so it gives no line. */
function tokenLines(call: LedgerEntry, { version, tokens }: PriceVersion): UsageLine[] {
  const { usage, provider, model, agentName, userId, dagId, executionId, subStepId } = call
  if (usage.totalTokens === 0) return []
  const list = unitPricesOf(provider, model, usage)
  const price = (ofList: number | undefined) =>
    ofList === undefined ? null : percentOf(ofList, tokens.percentOfListPrice)
  const whose = { provider, model, agentName, userId, dagId, executionId, subStepId }
  const priceVersion = `${version}+${call.priceVersion}`
  return [
    ...line(whose, 'prompt_tokens', usage.promptTokens - usage.cachedTokens, price(list?.prompt), priceVersion),
    ...line(whose, 'cached_tokens', usage.cachedTokens, price(list?.cached), priceVersion),
    ...line(whose, 'completion_tokens', usage.completionTokens, price(list?.completion), priceVersion),
  ]
}

type Whose = Omit<UsageLine, 'resourceType' | 'quantity' | 'unitCost' | 'priceVersion' | 'costUsdMicros'>

function line(
  whose: Whose,
  resourceType: ResourceType,
  quantity: number,
  unitCost: number | null,
  priceVersion: string,
): UsageLine[] {
  if (quantity <= 0) return [] // below zero: a clock that was set back
  const costUsdMicros = usdMicrosOf(quantity, unitCost)
  return [{ ...whose, resourceType, quantity, unitCost, priceVersion, costUsdMicros }]
}
