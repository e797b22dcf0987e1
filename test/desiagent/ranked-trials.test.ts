import { describe, expect, test } from 'vitest'
import { rankTrials, type Trial } from '#desiagent/experiment.ts'

describe('trials are ranked', () => {
  const trial = (position: number, more: Partial<Trial> & { tokens?: number } = {}): Trial => ({
    position,
    model: 'm',
    temperature: 0,
    status: 'success',
    dagId: null,
    error: null,
    taskCount: 3,
    usage: { promptTokens: 0, completionTokens: 0, totalTokens: more.tokens ?? 100, cachedTokens: 0 },
    costUsdMicros: 10,
    durationMs: 5,
    ...more,
  })
  const order = (...trials: Trial[]) => rankTrials(trials).map(({ position }) => position)

  test('a valid plan before none, however cheap', () => {
    expect(order(trial(1, { status: 'failed', taskCount: null, tokens: 0, costUsdMicros: 0 }), trial(2))).toEqual([
      2, 1,
    ])
  })
  test('then by fewer tasks, tokens, cost and time, in this order', () => {
    expect(order(trial(1), trial(2, { taskCount: 2, tokens: 900 }))).toEqual([2, 1])
    expect(order(trial(1), trial(2, { tokens: 99, costUsdMicros: 90 }))).toEqual([2, 1])
    expect(order(trial(1), trial(2, { costUsdMicros: 9, durationMs: 90 }))).toEqual([2, 1])
    expect(order(trial(1), trial(2, { durationMs: 4 }))).toEqual([2, 1])
  })
  test('a cost nobody knows behind every known one', () => {
    expect(order(trial(1, { costUsdMicros: null, durationMs: 1 }), trial(2, { costUsdMicros: 9_999 }))).toEqual([2, 1])
  })
  test('of equals the one asked for first', () => {
    expect(order(trial(2), trial(1))).toEqual([1, 2])
    const unknown = { costUsdMicros: null, durationMs: null, taskCount: null, status: 'failed' } as const
    expect(order(trial(2, unknown), trial(1, unknown))).toEqual([1, 2])
  })
  test('without a rank and at the end while they have not ended', () => {
    const ranked = rankTrials([
      trial(1, { status: 'running' }),
      trial(2, { status: 'failed' }),
      trial(3, { status: 'pending' }),
    ])
    expect(ranked.map(({ position, rank }) => [position, rank])).toEqual([
      [2, 1],
      [1, null],
      [3, null],
    ])
  })
})
