import { describe, expect, test } from 'vitest'
import { faultsInCeilings, type Told } from './ceilings/verdict.ts'
import { type Finished, type FinishedOrder, faultsOf } from './crash/verdict.ts'
import { faultsInLog, faultsInSeen, type LoggedEvent } from './event-log.ts'
import { faultsInShares, faultsInWaits } from './fairness.ts'
import type { SeenEvent } from './follower.ts'
import { faultsInSpans } from './makespan.ts'

/** A proof shows nothing if its verdict cannot go against us: each is given results that somebody has tampered with. */

const logged = (seq: number, type: string, data: LoggedEvent['data'] = {}): LoggedEvent => ({
  seq,
  type: `execution:${type}`,
  ts: '2026-11-20T09:00:00.000Z',
  data,
})
const LOG = [
  logged(1, 'started'),
  logged(2, 'task_started', { taskId: 't0' }),
  logged(3, 'task_completed', { taskId: 't0' }),
  logged(4, 'completed', { status: 'completed' }),
]
const seenOf = (log: readonly LoggedEvent[]): SeenEvent[] =>
  log.map((event) => ({ id: event.seq, type: event.type, data: JSON.stringify(event) }))
const [first, second, third, fourth] = seenOf(LOG) as [SeenEvent, SeenEvent, SeenEvent, SeenEvent]

describe('what a reader was told', () => {
  test('is faultless when it is the log', () => {
    expect(faultsInSeen(seenOf(LOG), LOG)).toEqual([])
  })

  test.each([
    ['an event is lost', [first, third, fourth], 'after event 1 came 3'],
    ['the first event is lost', [second, third, fourth], 'after event 0 came 2'],
    ['the end is lost', [first, second, third], 'events 4 to 4 were not told'],
    ['all is lost', [], 'events 1 to 4 were not told'],
    ['an event comes twice', [first, second, second, third, fourth], 'event 2 was told twice'],
    ['an event comes too late', [first, third, second, fourth], 'event 2 was told after 3'],
    ['an event is another', [first, { ...second, type: 'execution:paused' }, third, fourth], 'event 2 was told as'],
    ['an event has other data', [first, { ...second, data: third.data }, third, fourth], 'event 2 was told otherwise'],
    ['an event is nobody’s', [first, second, third, fourth, { ...fourth, id: 5 }], 'event 5 is not in the log'],
  ])('is at fault when %s', (_name, seen, fault) => {
    expect(faultsInSeen(seen, LOG).join()).toContain(fault)
  })
})

describe('the log of an execution that has completed', () => {
  test('is faultless when it is dense, begins and ends once', () => {
    expect(faultsInLog(LOG)).toEqual([])
  })

  test.each([
    ['has a gap', LOG.toSpliced(1, 1), 'place 2 of the log has event 3'],
    ['does not begin', [logged(1, 'resumed'), ...LOG.slice(1)], 'begins with execution:resumed'],
    ['ends twice', [...LOG, logged(5, 'completed')], '2 ends'],
    ['does not end', LOG.slice(0, 3), '0 ends'],
    ['goes on behind its end', [...LOG, logged(5, 'resumed')], 'ends with execution:resumed'],
    ['completes a task twice', LOG.with(1, logged(2, 'task_completed', { taskId: 't0' })), 'which had completed'],
    ['begins a task again', LOG.with(3, logged(4, 'task_started', { taskId: 't0' })), 'which had completed'],
  ])('is at fault when it %s', (_name, log, fault) => {
    expect(faultsInLog(log).join()).toContain(fault)
  })
})

const ORDER: FinishedOrder = {
  name: 'work-0',
  executionId: 'e0',
  problems: [],
  completedAtMs: new Map([['t0', 100]]),
  results: new Map([['t0', { atMs: 110, result: 'answer' }]]),
  streamed: seenOf(LOG),
  log: LOG,
  details: {
    status: 'completed',
    finalResult: 'all',
    subSteps: [{ taskId: 't0', status: 'completed', result: 'answer' }],
  },
}
const STEP_CALL = { key: 'e0/t0/0', task: 'answer', beganAtMs: 50, answeredAtMs: 90, text: 'answer' } as const
const FINISHED: Finished = {
  orders: [ORDER],
  executions: [{ id: 'e0', originalRequest: 'Goal of work-0.' }],
  calls: [
    { ...STEP_CALL, beganAtMs: 10, answeredAtMs: null, text: '' },
    STEP_CALL,
    { key: 'e0/synthesis/0', task: 'synthesis', beganAtMs: 120, answeredAtMs: 130, text: 'all' },
  ],
  kills: [{ fromMs: 20, untilMs: 30 }],
}
const withOrder = (change: Partial<FinishedOrder>): Finished => ({ ...FINISHED, orders: [{ ...ORDER, ...change }] })
const withResult = (result: string): Finished =>
  withOrder({
    details: { status: 'completed', finalResult: 'all', subSteps: [{ taskId: 't0', status: 'completed', result }] },
  })

describe('what kills have left', () => {
  test('is faultless when each order was done once, also with a call that a kill has cut', () => {
    expect(faultsOf(FINISHED)).toEqual([])
  })

  const [cut, answered, synthesis] = FINISHED.calls as [
    Finished['calls'][number],
    Finished['calls'][number],
    Finished['calls'][number],
  ]
  test.each([
    ['an execution is lost', { ...FINISHED, executions: [] }, 'has 0 executions'],
    [
      'an order is done twice',
      { ...FINISHED, executions: [...FINISHED.executions, { id: 'e1', originalRequest: 'work-0: a proof' }] },
      'has 2 executions',
    ],
    ['its execution is another', withOrder({ executionId: 'e9' }), 'is not the one that was answered'],
    [
      'there is one that nobody ordered',
      { ...FINISHED, executions: [...FINISHED.executions, { id: 'e1', originalRequest: 'Goal of work-00.' }] },
      'belongs to no order',
    ],
    [
      'it is not completed',
      withOrder({ details: { status: 'running', finalResult: null, subSteps: [] } }),
      'is running',
    ],
    ['its details are gone', withOrder({ details: null }), 'is undefined'],
    [
      'a result has changed',
      { ...withResult('other'), calls: [...FINISHED.calls, { ...answered, text: 'other', beganAtMs: 60 }] },
      'not the one that was read before',
    ],
    ['a result was never given', withResult('invented'), 'none that the model gave'],
    ['a result is that of a call which was not answered', withResult(''), 'none that the model gave'],
    ['the final result was never given', { ...FINISHED, calls: [cut, answered] }, 'its final result is none'],
    [
      'a call is made after its answer was committed',
      {
        ...FINISHED,
        calls: [...FINISHED.calls, { ...answered, beganAtMs: 140 }],
        kills: [{ fromMs: 0, untilMs: 200 }],
      },
      '1 calls for t0 after its answer was committed',
    ],
    ['a call is repeated without a kill', { ...FINISHED, kills: [] }, 'repeated although nothing was killed'],
    [
      'the synthesis is repeated without a kill',
      { ...FINISHED, calls: [...FINISHED.calls, { ...synthesis, beganAtMs: 131 }] },
      'e0/synthesis/0 was repeated',
    ],
    ['a reader was told too little', withOrder({ streamed: seenOf(LOG).slice(0, 2) }), 'events 3 to 4 were not told'],
    ['the log has a gap', withOrder({ log: LOG.toSpliced(2, 1) }), 'place 3 of the log'],
    ['a client had a problem', withOrder({ problems: ['oh dear'] }), 'oh dear'],
  ])('is at fault when %s', (_name, finished, fault) => {
    expect(faultsOf(finished).join('\n')).toContain(fault)
  })
})

const LIMITS = { maxTokens: 1_000, maxCostUsdMicros: 500, maxSteps: 3, maxWallMs: 2_000 }
const TRUTH = { calls: 2, tokens: 900, costUsdMicros: 450 }
const TOLD: Told = {
  limitsUsed: { tokens: 950, costUsdMicros: 480, steps: 3, wallMs: 2_000 },
  cost: { tokens: 900, costUsdMicros: 450 },
  tasksStarted: 3,
  eventsMs: 1_990,
}
const used = (change: object): Told => ({
  ...TOLD,
  limitsUsed: { tokens: 950, costUsdMicros: 480, steps: 3, wallMs: 2_000, ...change },
})

describe('limits', () => {
  test('are kept when all that was used lies within them', () => {
    expect(faultsInCeilings(LIMITS, TRUTH, TOLD, 500)).toEqual([])
    expect(faultsInCeilings({}, { ...TRUTH, tokens: 1e9 }, TOLD, 500)).toEqual([])
    expect(faultsInCeilings(LIMITS, TRUTH, { ...TOLD, cost: { tokens: 900, costUsdMicros: null } }, 500)).toEqual([])
  })

  test.each([
    ['the provider has counted more tokens', { ...TRUTH, tokens: 1_001 }, null, 'maxTokens 1000, really used 1001'],
    ['the provider charges more', { ...TRUTH, costUsdMicros: 500.1 }, null, 'maxCostUsdMicros 500, really used 500.1'],
    ['the costs say more tokens', TRUTH, { ...TOLD, cost: { tokens: 1_001, costUsdMicros: 1 } }, 'the costs say 1001'],
    ['the costs say more money', TRUTH, { ...TOLD, cost: { tokens: 1, costUsdMicros: 501 } }, 'the costs say 501'],
    ['more tokens are counted', TRUTH, used({ tokens: 1_001 }), 'limitsUsed says 1001'],
    ['more money is counted', TRUTH, used({ costUsdMicros: 501 }), 'limitsUsed says 501'],
    ['more steps are counted', TRUTH, used({ steps: 4 }), 'maxSteps 3, limitsUsed says 4'],
    ['more tasks have begun', TRUTH, { ...TOLD, tasksStarted: 4 }, 'maxSteps 3, the events say 4'],
    ['it ran far too long', TRUTH, used({ wallMs: 2_501 }), 'maxWallMs 2000, limitsUsed says 2501'],
    ['its events go on for far too long', TRUTH, { ...TOLD, eventsMs: 2_501 }, 'maxWallMs 2000, the events say 2501'],
    ['its events have no times', TRUTH, { ...TOLD, eventsMs: Number.NaN }, 'the events say NaN'],
    ['fewer tokens are counted than were used', TRUTH, used({ tokens: 899 }), 'really used 900 tokens, counted 899'],
    ['less money is counted than was used', TRUTH, used({ costUsdMicros: 449 }), 'counted 449'],
    ['fewer steps are counted than began', TRUTH, used({ steps: 2 }), '3 tasks began, counted 2'],
    ['nothing is counted', TRUTH, { ...TOLD, limitsUsed: null }, 'limitsUsed says nothing'],
  ])('are passed when %s', (_name, truth, told, fault) => {
    expect(faultsInCeilings(LIMITS, truth, told, 500).join('\n')).toContain(fault)
  })
})

test('a makespan beyond the critical path is a fault, and one below it too: then the path is wrong', () => {
  const span = (makespanMs: number) => [{ name: 'work-0', makespanMs, scriptedPathMs: 1_000, heldPathMs: 1_001 }]
  expect(faultsInSpans(span(1_050), 0.05)).toEqual([])
  expect(faultsInSpans(span(1_051), 0.05)).toHaveLength(1)
  expect(faultsInSpans(span(970), 0.05)).toHaveLength(1)
  expect(faultsInSpans(span(Number.NaN), 0.05)).toHaveLength(1)
})

test('a single execution that waited for longer than the longest step is a fault', () => {
  expect(faultsInWaits([{ waitMs: 300, longestStepMs: 200 }], 100)).toEqual([])
  expect(faultsInWaits([{ waitMs: 301, longestStepMs: 200 }], 100)).toHaveLength(1)
  expect(faultsInWaits([{ waitMs: Number.NaN, longestStepMs: 200 }], 100)).toHaveLength(1)
})

test('a tenant that gets far less than its third is a fault', () => {
  const steps = (a: number, b: number, c: number) => [
    ...Array(a).fill('a'),
    ...Array(b).fill('b'),
    ...Array(c).fill('c'),
  ]
  expect(faultsInShares(steps(100, 90, 80), ['a', 'b', 'c'])).toEqual([])
  expect(faultsInShares(steps(200, 90, 10), ['a', 'b', 'c'])).toHaveLength(1)
  expect(faultsInShares([], ['a', 'b', 'c'])).toHaveLength(3)
})
