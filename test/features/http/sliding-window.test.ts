import fc from 'fast-check'
import { expect, test } from 'vitest'
import { SlidingWindow, windowKey } from '#kit/http/sliding-window.ts'

const WINDOW_MS = 60_000

function windowAt(times: {
  now: number
}): (limit: number, subject?: string) => { isAllowed: boolean; resetMs: number } {
  const window = new SlidingWindow(WINDOW_MS, () => times.now)
  return (limit, subject = 'key') => {
    const { totalHits, resetTime } = window.increment(windowKey(limit, subject))
    return { isAllowed: totalHits <= limit, resetMs: resetTime?.getTime() ?? 0 }
  }
}

const gaps = fc.array(fc.oneof(fc.constant(0), fc.integer({ max: 100, min: 0 }), fc.integer({ max: 70_000, min: 0 })), {
  maxLength: 120,
})

test('whatever the times of the calls, exactly those pass that the limit leaves room for', () => {
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 12 }), (steps, limit) => {
      const clock = { now: 1_000_000 }
      const call = windowAt(clock)
      const passed: number[] = []
      for (const step of steps) {
        clock.now += step
        const room = passed.filter((at) => at > clock.now - WINDOW_MS).length < limit
        expect(call(limit).isAllowed).toBe(room)
        if (room) passed.push(clock.now)
      }
    }),
  )
})

test('no stretch of a minute ever holds more calls than the limit', () => {
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 12 }), (steps, limit) => {
      const clock = { now: 0 }
      const call = windowAt(clock)
      const passed: number[] = []
      for (const step of steps) {
        clock.now += step
        if (call(limit).isAllowed) passed.push(clock.now)
      }
      for (const from of passed) {
        expect(passed.filter((at) => at >= from && at < from + WINDOW_MS).length).toBeLessThanOrEqual(limit)
      }
    }),
  )
})

test('a refused caller that waits until the reset gets through, however often it tried', () => {
  fc.assert(
    fc.property(gaps, fc.integer({ min: 1, max: 5 }), (steps, limit) => {
      const clock = { now: 5_000 }
      const call = windowAt(clock)
      for (const step of steps) {
        clock.now += step
        const { isAllowed, resetMs } = call(limit)
        if (isAllowed) continue
        expect(resetMs).toBeGreaterThan(clock.now)
        expect(resetMs).toBeLessThanOrEqual(clock.now + WINDOW_MS)
        clock.now = resetMs
        expect(call(limit).isAllowed).toBe(true)
      }
    }),
  )
})

test('callers do not meet, nor do two limits of one caller', () => {
  const call = windowAt({ now: 0 })
  expect([call(1, 'a').isAllowed, call(1, 'a').isAllowed]).toEqual([true, false])
  expect(call(1, 'b').isAllowed).toBe(true)
  expect(call(2, 'a').isAllowed).toBe(true)
})

test('a clock that goes backwards lets nobody exceed the limit at the new time', () => {
  const clock = { now: 100_000 }
  const call = windowAt(clock)
  expect(call(1).isAllowed).toBe(true)
  clock.now = 50_000
  expect(call(1).isAllowed).toBe(false)
})
