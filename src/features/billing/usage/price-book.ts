import type { ResourceType } from './contract.ts'

/** What we charge for ourselves; tokens are passed on. */
export type OwnResource = Extract<ResourceType, 'compute_ms' | 'executions' | 'storage_bytes'>

export interface PriceVersion {
  version: string
  /** In force from this moment (ISO 8601) until the next version's. */
  effectiveFrom: string
  picoUsdPerUnit: Readonly<Record<OwnResource, number>>
  tokens: { readonly percentOfListPrice: number }
}

/** Oldest first. A version that has been in force is never edited: records and invoices name it. */
const PRICE_BOOK: readonly PriceVersion[] = [
  {
    version: '2026-01',
    effectiveFrom: '2026-01-01T00:00:00.000Z',
    picoUsdPerUnit: { executions: 25_000_000, compute_ms: 16_900, storage_bytes: 20 },
    tokens: { percentOfListPrice: 100 },
  },
]

/** The prices in force at a moment (ISO 8601); before the first version, that one. */
export function pricesAt(at: string, book: readonly PriceVersion[] = PRICE_BOOK): PriceVersion {
  const inForce = book.findLast(({ effectiveFrom }) => Date.parse(effectiveFrom) <= Date.parse(at)) ?? book[0]
  if (!inForce) throw new Error('a price book without prices')
  return inForce
}
