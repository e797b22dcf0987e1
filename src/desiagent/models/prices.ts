import { calcPrice, type ModelPrice } from '@pydantic/genai-prices'
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

/** Whole pico-USD for one token of each kind; `prompt` is a token that was not cached. */
export interface TokenPrices {
  prompt: number
  cached: number
  completion: number
}

const FREE: TokenPrices = { prompt: 0, cached: 0, completion: 0 }

/**
 * What a token of each kind cost in a call of this size: some models charge more for each when the prompt is long.
 *
 * @returns null when the list does not know the model: unknown, not free
 */
export function unitPricesOf(provider: string, model: string, usage: TokenUsage): TokenPrices | null {
  if (provider === 'offline') return FREE
  const found = calcPrice({ input_tokens: 1 }, model, { providerId: provider })
  if (!found) return null
  const { input_mtok, cache_read_mtok = input_mtok, output_mtok } = found.model_price
  const each = (price: ModelPrice[string]) => picoPerToken(price, usage.promptTokens)
  return { prompt: each(input_mtok), cached: each(cache_read_mtok), completion: each(output_mtok) }
}

/** The list says USD per million tokens, so pico-USD per token are a million times as many. */
function picoPerToken(price: ModelPrice[string], promptTokens: number): number {
  if (price === undefined) return 0
  if (typeof price === 'number') return Math.round(price * 1e6)
  const reached = price.tiers.filter(({ start }) => promptTokens > start).toSorted((a, b) => a.start - b.start)
  return Math.round((reached.at(-1)?.price ?? price.base) * 1e6)
}

/** The price list's own name of a model, or null. Many names may mean the same one: it takes any date behind some. */
export function pricedModel(provider: string, model: string): string | null {
  return calcPrice({ input_tokens: 1 }, model, { providerId: provider })?.model.id ?? null
}
