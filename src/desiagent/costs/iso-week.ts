const DAY_MS = 86_400_000

/**
 * The week of a day by ISO 8601: it begins on Monday and belongs to the year that most of its days are in.
 *
 * @param day  `2026-11-20`
 * @returns `2026-W47`
 */
export function isoWeek(day: string): string {
  const moment = Date.parse(`${day}T00:00:00Z`)
  const sinceMonday = (new Date(moment).getUTCDay() + 6) % 7
  const thursday = new Date(moment + (3 - sinceMonday) * DAY_MS)
  const year = thursday.getUTCFullYear()
  const week = 1 + Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * DAY_MS))
  return `${String(year).padStart(4, '0')}-W${String(week).padStart(2, '0')}`
}
