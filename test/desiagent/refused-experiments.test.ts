import { expect, test } from 'vitest'
import { createDesiAgent, NO_METERING } from '#desiagent/index.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { embeddedParts } from './embedded-parts.ts'

/** There is room left, but too little for a call: whoever looks before the work may begin it, the call itself may not. */
function roomForNoCall() {
  const room = { isEnough: false, looks: 0 }
  const refuse = () => new QuotaExceeded({ quota: 'maxTokensPerMonth', limit: 1, used: 1 })
  const metering: typeof NO_METERING = {
    ...NO_METERING,
    admitModelCall: async () => {
      room.looks += 1
      if (!room.isEnough && room.looks > 2) throw refuse() // the experiment is looked at, then its trial
    },
    reserveModelCall: async (db, estimate) => {
      if (!room.isEnough) throw refuse()
      return NO_METERING.reserveModelCall(db, estimate)
    },
  }
  return { room, metering }
}

test('a trial that is refused before its planner was asked leaves no DAG, however often it is tried', async () => {
  const { room, metering } = roomForNoCall()
  const parts = await embeddedParts()
  const desi = createDesiAgent({ ...parts, shared: { ...parts.shared, metering } })
  const goalText = 'Count the words of "a b"'
  const { id } = await desi.experiments.create({ goalText, models: ['offline-1'], temperatures: [0] })
  const listDags = async () =>
    (await desi.dags.list({}, { limit: 10, offset: 0, cursor: null, includeTotal: false })).rows

  for (let round = 0; round < 3; round += 1) {
    room.looks = 0
    await desi.experiments.run(id)
    expect(room.looks).toBeGreaterThanOrEqual(2)
    expect(await listDags()).toEqual([])
    expect((await desi.experiments.get(id)).trials).toMatchObject([{ status: 'pending', dagId: null }])
  }
  room.isEnough = true
  await desi.experiments.run(id)

  expect(await desi.experiments.get(id)).toMatchObject({ status: 'completed', trials: [{ status: 'success' }] })
  expect((await listDags()).length).toBe(1)
})
