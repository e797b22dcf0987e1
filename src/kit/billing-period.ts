/** A calendar month in UTC, as `YYYY-MM`: what quotas are counted and invoices written by. */
export function periodOf(moment: Date): string {
  return moment.toISOString().slice(0, 7)
}

/** The month's first moment, and the first moment of the next one (ISO 8601). */
export function boundsOf(period: string): { start: string; end: string } {
  const [year, month] = period.split('-').map(Number) as [number, number]
  const firstOf = (monthIndex: number) => new Date(Date.UTC(year, monthIndex, 1)).toISOString()
  return { start: firstOf(month - 1), end: firstOf(month) }
}

// Whatever was measured before midnight is written by then.
const SETTLING_MS = 10 * 60_000

/** The month that `moment` lies in, and when its invoice is to be written (ISO 8601). */
export function nextInvoiceDue(moment: Date): { period: string; at: string } {
  const period = periodOf(moment)
  return { period, at: new Date(Date.parse(boundsOf(period).end) + SETTLING_MS).toISOString() }
}
