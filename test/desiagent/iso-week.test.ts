import { describe, expect, test } from 'vitest'
import { isoWeek } from '#desiagent/costs/iso-week.ts'

describe('the ISO week of a day', () => {
  test.each([
    ['2026-11-20', '2026-W47'],
    ['2026-11-22', '2026-W47'], // Sunday ends it
    ['2026-11-23', '2026-W48'],
    ['2024-02-29', '2024-W09'],
  ])('%s is in %s', (day, week) => {
    expect(isoWeek(day)).toBe(week)
  })

  test.each([
    ['2020-12-31', '2020-W53'],
    ['2021-01-01', '2020-W53'], // a Friday: most of its week is in the old year
    ['2021-01-03', '2020-W53'],
    ['2021-01-04', '2021-W01'],
    ['2024-12-29', '2024-W52'],
    ['2024-12-30', '2025-W01'], // a Monday: most of its week is in the new year
    ['2026-01-01', '2026-W01'],
    ['2026-12-31', '2026-W53'],
    ['2027-01-03', '2026-W53'],
    ['2027-01-04', '2027-W01'],
    ['2028-01-01', '2027-W52'],
  ])('%s, near the end of a year, is in %s', (day, week) => {
    expect(isoWeek(day)).toBe(week)
  })

  test('every week has seven days, and weeks follow each other without a gap', () => {
    const days = Array.from({ length: 28 * 366 }, (_, index) => new Date(Date.UTC(2000, 0, 3 + index)))
    const weeks = days.map((day) => isoWeek(day.toISOString().slice(0, 10)))
    for (let monday = 0; monday + 7 <= weeks.length; monday += 7) {
      expect(new Set(weeks.slice(monday, monday + 7)).size).toBe(1)
    }
    const distinct = [...new Set(weeks)]
    expect(distinct.length).toBe(Math.ceil(weeks.length / 7))
    expect(distinct).toEqual(distinct.toSorted())
  })
})
