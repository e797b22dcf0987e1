const PICO_PER_MICRO = 1_000_000n
const PICO_PER_CENT = 10_000_000_000n

/** What so many units cost in pico-USD, exactly: such amounts can be added up. */
export function usdPicosOf(quantity: number, picoUsdPerUnit: number | null): bigint | null {
  return picoUsdPerUnit === null ? null : BigInt(quantity) * BigInt(picoUsdPerUnit)
}

/**
 * What so many units cost in whole micro-USD, rounded half up once.
 *
 * @param picoUsdPerUnit  null: there is no price, so there is no cost either
 */
export function usdMicrosOf(quantity: number, picoUsdPerUnit: number | null): number | null {
  return picoUsdPerUnit === null ? null : rounded(quantity, picoUsdPerUnit, PICO_PER_MICRO)
}

/** The same in whole cents. */
export function usdCentsOf(quantity: number, picoUsdPerUnit: number | null): number | null {
  return picoUsdPerUnit === null ? null : rounded(quantity, picoUsdPerUnit, PICO_PER_CENT)
}

/** So many hundredths of a list price in whole pico-USD, rounded half up. */
export function percentOf(picoUsdPerUnit: number, percent: number): number {
  return rounded(picoUsdPerUnit, percent, 100n)
}

/** In BigInt: a month's product has more digits than a float holds. Neither factor is negative. */
function rounded(factor: number, by: number, divisor: bigint): number {
  return Number((BigInt(factor) * BigInt(by) + divisor / 2n) / divisor)
}
