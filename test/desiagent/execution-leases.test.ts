import { expect, test } from 'vitest'
import type { DesiAgent } from '#desiagent/index.ts'
import type { ModelCall, Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { processes } from './processes.ts'

const CHAIN = planOf([
  { id: 'a', prompt: 'a' },
  { id: 'b', prompt: 'b', dependencies: ['a'] },
])

/** `a` is answered at once, `b` when its process is let go. */
const answer = ({ messages }: ModelCall, isLetGo?: true): Reply | null =>
  messages[0] === 'b' && !isLetGo ? null : { text: 'ok' }

async function two(leaseMs?: number) {
  const all = await processes(2, { answer, ...(leaseMs === undefined ? {} : { leaseMs }) })
  const [a, b] = all.desis as [DesiAgent, DesiAgent]
  const { executionId: id } = await a.dags.executeDefinition({ definition: CHAIN, createdBy: null })
  const callsOf = (prompt: string) => all.model.calls.filter(({ messages }) => messages[0] === prompt)
  const typesOf = async () => (await a.executions.events(id, 0, 100)).map(({ type }) => type.replace('execution:', ''))
  return { ...all, a, b, id, callsOf, typesOf }
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('of two processes that take an execution at once one runs it, the other does nothing', async () => {
  const { a, b, id, model, letGo, callsOf } = await two()
  const runs = [a.executions.run(id), b.executions.run(id)]
  await Promise.race(runs) // the one that came too late
  await expect.poll(() => callsOf('b').length).toBe(1)
  letGo()
  await Promise.all(runs)
  expect(await a.executions.get(id)).toMatchObject({ status: 'completed', completedTasks: 2 })
  expect(model.calls).toHaveLength(3)
})

test('an execution whose lease lives is left alone, however long its call takes', async () => {
  const { a, b, id, letGo, callsOf, model } = await two(150)
  const run = a.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(1)
  await pause(500) // more than three leases
  await b.executions.run(id)
  letGo()
  await run
  expect((await a.executions.get(id)).status).toBe('completed')
  expect(model.calls).toHaveLength(3)
})

test('one whose lease has run out is taken over; whoever had it changes nothing any more, but its call is booked', async () => {
  const { a, b, id, db, clock, letGo, callsOf, typesOf } = await two()
  const first = a.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(1)

  clock.aheadMs = 29_000
  await b.executions.run(id)
  expect(callsOf('b')).toHaveLength(1)
  clock.aheadMs = 31_000
  const second = b.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(2)
  letGo(0) // it was not dead after all
  await first
  expect((await b.executions.details(id)).subSteps[1]).toMatchObject({ status: 'running', result: null })
  letGo(1)
  await second

  expect(await b.executions.get(id)).toMatchObject({ status: 'completed', completedTasks: 2, retryCount: 0 })
  expect(new Set(callsOf('b').map(({ idempotencyKey }) => idempotencyKey))).toEqual(new Set([`${id}/b/0`]))
  const types = await typesOf()
  expect(types.filter((type) => type === 'task_completed')).toHaveLength(2)
  expect(types.filter((type) => type === 'resumed')).toHaveLength(1)
  const rows = await db.selectFrom('model_calls').select('id').where('execution_id', '=', id).execute()
  expect(rows).toHaveLength(4)
})

test('a process that finds its lease lost hangs up on its calls', async () => {
  const { a, b, id, db, letGo, callsOf } = await two(150)
  const first = a.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(1)
  // As when this process was asleep for longer than its lease.
  await db.updateTable('executions').set({ lease_owner: 'process 1' }).where('id', '=', id).execute()
  await expect.poll(() => callsOf('b')[0]?.isBrokenOff).toBe(true)
  await first
  expect((await b.executions.get(id)).status).toBe('running')
  letGo()
  await b.executions.run(id)
  expect((await b.executions.get(id)).status).toBe('completed')
})

test('an execution can be paused, resumed and cancelled by a process that does not run it', async () => {
  const { a, b, id, letGo, callsOf, typesOf } = await two(300)
  const run = a.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(1)
  expect(await b.executions.pause(id)).toMatchObject({ status: 'running', pauseRequestedAt: expect.any(String) })
  letGo()
  await run
  expect(await b.executions.get(id)).toMatchObject({ status: 'paused', completedTasks: 2 })
  expect(await b.executions.resume(id)).toMatchObject({ status: 'pending', retryCount: 0 })
  expect(await b.executions.cancel(id)).toMatchObject({ status: 'cancelled' })
  await a.executions.run(id)
  expect((await typesOf()).slice(-3)).toEqual(['paused', 'resumed', 'cancelled'])
})

test('cancelled by another process, it hangs up when it next renews its lease', async () => {
  const { a, b, id, callsOf } = await two(150)
  const run = a.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(1)
  await b.executions.cancel(id)
  await run
  await expect.poll(() => callsOf('b')[0]?.isBrokenOff).toBe(true)
  expect((await a.executions.details(id)).subSteps.map(({ status }) => status)).toEqual(['completed', 'cancelled'])
})

test('each take-over without progress is a crash; the third parks it, and a step that completes is a new beginning', async () => {
  const { b, id, db, letGo, callsOf } = await two()
  const die = () =>
    db
      .updateTable('executions')
      .set({ status: 'running', lease_owner: 'a dead one', lease_until: '2020-01-01T00:00:00.000Z' })
      .where('id', '=', id)
      .execute()
  const crashes = async () =>
    (await db.selectFrom('executions').select('crash_count').where('id', '=', id).executeTakeFirstOrThrow()).crash_count

  await db.updateTable('executions').set({ crash_count: 1 }).where('id', '=', id).execute()
  await die()
  const run = b.executions.run(id)
  await expect.poll(() => callsOf('b').length).toBe(1)
  expect(await crashes()).toBe(0) // `a` has completed
  letGo()
  await run
  expect((await b.executions.get(id)).status).toBe('completed')

  const { executionId: other } = await b.dags.executeDefinition({ definition: CHAIN, createdBy: null })
  const dead = { status: 'running', lease_owner: 'a dead one', lease_until: '2020-01-01T00:00:00.000Z' }
  await db
    .updateTable('executions')
    .set({ ...dead, crash_count: 2 })
    .where('id', '=', other)
    .execute()
  await b.executions.run(other)
  expect(await b.executions.get(other)).toMatchObject({
    status: 'suspended',
    suspendedReason: expect.stringMatching(/^crashed_repeatedly: .*3 times/),
  })
  expect((await b.executions.resume(other)).status).toBe('pending')
  await b.executions.run(other)
  expect((await b.executions.get(other)).status).toBe('completed')
})
