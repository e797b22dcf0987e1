/** One record of RFC 4180, with its line end. Null is an empty field. */
export function csvRecord(fields: readonly (string | number | null)[]): string {
  return `${fields.map(field).join(',')}\r\n`
}

// A spreadsheet would run what begins like this as a formula (OWASP, "CSV injection").
const FORMULA = /^[=+\-@\t\r]/
const NEEDS_QUOTES = /[",\r\n]/

function field(value: string | number | null): string {
  if (value === null) return ''
  if (typeof value === 'number') return String(value)
  const harmless = FORMULA.test(value) ? `'${value}` : value
  return NEEDS_QUOTES.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless
}
