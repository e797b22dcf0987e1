import { expect, test } from 'vitest'
import { proveCeilings } from '#test/proofs/ceilings.ts'
import { proveCrashes } from '#test/proofs/crash.ts'
import { faultsInSpans, measureSpans } from '#test/proofs/makespan.ts'
import { proveStreams } from '#test/proofs/streams.ts'

/** What `npm run prove` shows, small, and patient with slow machines. */
const SMALL = { seed: 4, durable: 'NORMAL', lateMs: 10_000, say: () => {} } as const
const TWICE_THE_CRITICAL_PATH = 1

test('eight kills at chosen moments: no execution and no result is lost, no committed answer is asked for again', async () => {
  expect(await proveCrashes({ ...SMALL, n: 8 })).toEqual([])
}, 240_000)

test('forty readers that come and go, and a kill in between: each is told each event once, in order', async () => {
  expect(await proveStreams({ ...SMALL, n: 40 })).toEqual([])
}, 120_000)

test('an execution takes hardly longer than the critical path of its plan', async () => {
  expect(faultsInSpans(await measureSpans(5, SMALL.seed, SMALL.durable), TWICE_THE_CRITICAL_PATH)).toEqual([])
}, 120_000)

test('thirty plans with random limits, while the model fails at random: no limit is passed', async () => {
  expect(await proveCeilings({ ...SMALL, n: 30 })).toEqual([])
}, 120_000)
