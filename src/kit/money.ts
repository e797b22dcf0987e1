/**
 * Whole micro-USD for an amount a price library gave as a float in USD, rounded up once.
 * The float is first read at pico-USD, so that 0.000003 stays 3 and does not become 4.
 */
export function microsFromUsd(usd: number): number {
  return Math.ceil(Math.round(usd * 1e12) / 1e6)
}
