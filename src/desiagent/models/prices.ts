import { calcPrice } from '@pydantic/genai-prices'
import { microsFromUsd } from '#kit/money.ts'
import type { TokenUsage } from '../usage.ts'

/** The version of the price list, kept with each cost so that it can be derived again. */
export const PRICE_VERSION = 'genai-prices@0.1.8'

/**
 * Micro-USD for this usage, rounded up once.
 *
 * @returns null when the list does not know the model: unknown, not free
 */
export function priceOf(provider: string, model: string, usage: TokenUsage): number | null {
  const found = calcPrice(
    { input_tokens: usage.promptTokens, cache_read_tokens: usage.cachedTokens, output_tokens: usage.completionTokens },
    model,
    { providerId: provider },
  )
  return found ? microsFromUsd(found.total_price) : null
}
