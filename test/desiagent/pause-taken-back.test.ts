import { expect, test } from 'vitest'
import { Journal } from '#desiagent/executor/journal.ts'
import { createDesiAgent } from '#desiagent/index.ts'
import { type Claimed, claimExecution } from '#desiagent/store/claim-execution.ts'
import { addMilliseconds } from '#kit/time.ts'
import { planOf } from '#test/support/plans.ts'
import { embeddedParts } from './embedded-parts.ts'

/** An execution that this process runs, and its journal. */
async function running() {
  const parts = await embeddedParts()
  const desi = createDesiAgent(parts)
  const { executionId: id } = await desi.dags.executeDefinition({ definition: planOf([{ id: 'a' }]) })
  const now = parts.shared.now()
  const lease = {
    owner: parts.shared.running.owner,
    until: addMilliseconds(now, 30_000).toISOString(),
    isSoleProcess: true,
    renewedEveryMs: 10_000,
  }
  const claimed = (await claimExecution(parts.db, id, lease, now.toISOString())) as Claimed
  return { desi, id, journal: new Journal(parts, claimed) }
}

test('a pause that is taken back in the last moment does not happen', async () => {
  const { desi, id, journal } = await running()
  await desi.executions.pause(id)
  await journal.commit({ events: [] })
  expect(journal.isPauseWanted).toBe(true)

  await desi.executions.resume(id) // its steps have ended, and it is about to rest
  expect(await journal.commitPause()).toBe(false)

  expect(journal.isPauseWanted).toBe(false)
  expect((await desi.executions.get(id)).status).toBe('running')
  const types = (await desi.executions.events(id, 0, 10)).map(({ type }) => type)
  expect(types).toEqual(['execution:pause_requested', 'execution:resumed'])
})

test('a pause that is still wanted does', async () => {
  const { desi, id, journal } = await running()
  await desi.executions.pause(id)
  await journal.commit({ events: [] })
  expect(await journal.commitPause()).toBe(true)
  expect(await desi.executions.get(id)).toMatchObject({ status: 'paused', pauseRequestedAt: null })
})

test('one that has given its place away while it was asked to pause rests when it is asked again, and goes on when resumed', async () => {
  const { desi, id, journal } = await running()
  await desi.executions.pause(id)
  await journal.commit({ execution: { status: 'pending', isLeaseReleased: true }, events: [] })

  expect(await desi.executions.pause(id)).toMatchObject({ status: 'paused', pauseRequestedAt: null })
  expect(await desi.executions.resume(id)).toMatchObject({ status: 'pending', pauseRequestedAt: null })
})

test('one that has given its place away while it was asked to pause is not paused after all when it is resumed', async () => {
  const { desi, id, journal } = await running()
  await desi.executions.pause(id)
  await journal.commit({ execution: { status: 'pending', isLeaseReleased: true }, events: [] })

  expect(await desi.executions.resume(id)).toMatchObject({ status: 'pending', pauseRequestedAt: null })
  await desi.executions.run(id)
  expect((await desi.executions.get(id)).status).toBe('completed')
})
