import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { PRICE_VERSION, priceOf, unitPricesOf } from '#desiagent/models/prices.ts'
import { percentOf, usdCentsOf, usdMicrosOf } from '#features/billing/usage/amounts.ts'
import { linesOf } from '#features/billing/usage/lines.ts'
import { type PriceVersion, pricesAt } from '#features/billing/usage/price-book.ts'
import { NOBODYS } from '#test/support/past-usage.ts'

const usage = (promptTokens: number, cachedTokens: number, completionTokens: number) => ({
  promptTokens,
  cachedTokens,
  completionTokens,
  totalTokens: promptTokens + completionTokens,
})

describe('the price book', () => {
  const version = (name: string, effectiveFrom: string): PriceVersion => ({
    version: name,
    effectiveFrom,
    picoUsdPerUnit: { compute_ms: 1, executions: 1, storage_bytes: 1 },
    tokens: { percentOfListPrice: 100 },
  })
  const book = [version('a', '2026-01-01T00:00:00.000Z'), version('b', '2026-07-01T00:00:00.000Z')]

  for (const [at, name] of [
    ['2020-05-05T00:00:00.000Z', 'a'],
    ['2026-01-01T00:00:00.000Z', 'a'],
    ['2026-06-30T23:59:59.999Z', 'a'],
    ['2026-07-01T00:00:00.000Z', 'b'],
    ['2031-01-01T00:00:00.000Z', 'b'],
  ] as const) {
    test(`at ${at} version ${name} is in force`, () => {
      expect(pricesAt(at, book).version).toBe(name)
    })
  }

  test('its first version charges 25 micro-USD for an execution, 16 900 pico-USD a millisecond, 20 a byte', () => {
    expect(pricesAt('2026-02-02T00:00:00.000Z')).toMatchObject({
      version: '2026-01',
      picoUsdPerUnit: { executions: 25_000_000, compute_ms: 16_900, storage_bytes: 20 },
      tokens: { percentOfListPrice: 100 },
    })
  })
})

describe('a token', () => {
  test('costs the list price of its kind, in whole pico-USD', () => {
    expect(unitPricesOf('openai', 'gpt-5-mini', usage(100, 30, 20))).toEqual({
      prompt: 250_000,
      cached: 25_000,
      completion: 2_000_000,
    })
  })

  test('costs more where the list charges more for long prompts, cached tokens counted in', () => {
    const short = unitPricesOf('google', 'gemini-2.5-pro', usage(200_000, 150_000, 1))
    const long = unitPricesOf('google', 'gemini-2.5-pro', usage(200_001, 150_000, 1))
    expect(short).toEqual({ prompt: 1_250_000, cached: 125_000, completion: 10_000_000 })
    expect(long).toEqual({ prompt: 2_500_000, cached: 250_000, completion: 15_000_000 })
  })

  test('of a model nobody has a price for has none; of the offline model it is free', () => {
    expect(unitPricesOf('ollama', 'llama3.2', usage(1, 0, 1))).toBeNull()
    expect(unitPricesOf('openai', 'no-such-model', usage(1, 0, 1))).toBeNull()
    expect(unitPricesOf('offline', 'offline-1', usage(1, 0, 1))).toEqual({ prompt: 0, cached: 0, completion: 0 })
  })

  const models = [
    ['openai', 'gpt-5-mini'],
    ['openai', 'gpt-4o'],
    ['anthropic', 'claude-haiku-4-5'],
    ['google', 'gemini-2.5-pro'],
    ['google', 'gemini-2.5-flash'],
    ['openrouter', 'openai/gpt-5-mini'],
  ] as const
  test('summed up by kind costs what the ledger says of the whole call', () => {
    const tokens = fc.nat({ max: 1_000_000 })
    fc.assert(
      fc.property(
        fc.constantFrom(...models),
        tokens,
        tokens,
        tokens,
        ([provider, model], fresh, cached, completion) => {
          const used = usage(fresh + cached, cached, completion)
          const prices = unitPricesOf(provider, model, used)
          if (!prices) throw new Error(`${model} has no price`)
          const pico =
            BigInt(fresh) * BigInt(prices.prompt) +
            BigInt(cached) * BigInt(prices.cached) +
            BigInt(completion) * BigInt(prices.completion)
          expect(priceOf(provider, model, used)).toBe(Number((pico + 999_999n) / 1_000_000n))
        },
      ),
    )
  })
})

describe('amounts', () => {
  const quantity = fc.integer({ min: 0, max: 1_000_000_000_000 })
  const unitCost = fc.integer({ min: 0, max: 600_000_000 })

  test('are rounded half up once, exactly, whatever their size', () => {
    fc.assert(
      fc.property(quantity, unitCost, (units, pico) => {
        const exact = BigInt(units) * BigInt(pico)
        for (const [amount, unit] of [
          [usdMicrosOf(units, pico), 1_000_000n],
          [usdCentsOf(units, pico), 10_000_000_000n],
        ] as const) {
          const rest = exact - BigInt(amount as number) * unit
          expect(Number.isSafeInteger(amount)).toBe(true)
          expect(2n * rest >= -unit && 2n * rest < unit).toBe(true)
        }
      }),
      { numRuns: 1_000 },
    )
  })

  test('exactly half a unit goes up, a hair less does not', () => {
    expect([usdMicrosOf(1, 499_999), usdMicrosOf(1, 500_000)]).toEqual([0, 1])
    expect([usdCentsOf(1, 4_999_999_999), usdCentsOf(1, 5_000_000_000)]).toEqual([0, 1])
    expect([percentOf(3, 50), percentOf(1, 149), percentOf(7, 100)]).toEqual([2, 1, 7])
  })

  test('a total in cents differs from the exact sum by at most half a cent a line', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(quantity, unitCost), { maxLength: 30 }), (lines) => {
        const exact = lines.reduce((sum, [units, pico]) => sum + BigInt(units) * BigInt(pico), 0n)
        const billed = lines.reduce((sum, [units, pico]) => sum + (usdCentsOf(units, pico) ?? 0), 0)
        const difference = exact - BigInt(billed) * 10_000_000_000n
        const bound = BigInt(lines.length) * 5_000_000_000n
        expect(difference <= bound && difference >= -bound).toBe(true)
      }),
    )
  })

  test('what has no price has no amount', () => {
    expect([usdMicrosOf(5, null), usdCentsOf(5, null)]).toEqual([null, null])
  })
})

describe('what was used for a piece of work', () => {
  const at = '2026-03-01T00:00:00.000Z'
  const call = {
    ...NOBODYS,
    id: 'x',
    purpose: 'sub_step' as const,
    agentName: 'writer',
    provider: 'openai',
    model: 'gpt-5-mini',
    usage: usage(100, 30, 20),
    costUsdMicros: 59,
    priceVersion: PRICE_VERSION,
    errorCode: null,
    attempt: 1,
    durationMs: 1,
    createdAt: at,
    reservationId: null,
    settlement: null,
  }

  test('gives a line for each resource, tokens that were cached apart', () => {
    const lines = linesOf({ calls: [call], computeMs: 1_000, storageBytes: 50_000, executions: 1, for: NOBODYS }, at)
    expect(
      lines.map(({ resourceType, quantity, unitCost, costUsdMicros, priceVersion }) => [
        resourceType,
        quantity,
        unitCost,
        costUsdMicros,
        priceVersion,
      ]),
    ).toEqual([
      ['executions', 1, 25_000_000, 25, '2026-01'],
      ['prompt_tokens', 70, 250_000, 18, '2026-01+genai-prices@0.1.8'],
      ['cached_tokens', 30, 25_000, 1, '2026-01+genai-prices@0.1.8'],
      ['completion_tokens', 20, 2_000_000, 40, '2026-01+genai-prices@0.1.8'],
      ['compute_ms', 1_000, 16_900, 17, '2026-01'],
      ['storage_bytes', 50_000, 20, 1, '2026-01'],
    ])
  })

  test('gives no line for nothing, nor for a clock that was set back', () => {
    const unknown = { ...call, usage: usage(0, 0, 0), costUsdMicros: null }
    expect(linesOf({ calls: [unknown], computeMs: -5, storageBytes: 0, for: NOBODYS }, at)).toEqual([])
  })
})
