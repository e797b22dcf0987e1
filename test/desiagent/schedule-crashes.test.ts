import { describe, expect, test } from 'vitest'
import type { DesiAgent } from '#desiagent/index.ts'
import { MINUTE_MS, Shared } from './firing-parts.ts'
import { Mortal } from './mortal.ts'

const MINUTELY = { cronSchedule: '* * * * *', overlapPolicy: 'cancel_previous', missedRunPolicy: 'all' } as const
const GOAL = { goalText: 'Count the words of "a b c"' }

interface Case {
  shared: Shared
  /** Dies. */
  mortal: Mortal
  dying: DesiAgent
  /** Lives before and after it. */
  living: DesiAgent
}

/** Tries a piece of work with a process that dies before its first step, its second, and so on until it survives it. */
async function dyingEverywhere(work: (one: Case) => Promise<boolean>): Promise<number> {
  for (let diesBefore = 1; ; diesBefore += 1) {
    const shared = await Shared.open()
    const mortal = new Mortal(diesBefore)
    const parts = { db: mortal.database(shared.db), directory: mortal.index(shared.index.directory) }
    const [dying, living] = [shared.process('dying', parts), shared.process('living', {}, true)]
    const isAlive = await work({ shared, mortal, dying, living })
    if (isAlive) return diesBefore - 1
  }
}

/** What comes up in so many minutes, with nobody but the jobs to look. */
async function goOn({ shared, living }: Case, minutes: number): Promise<void> {
  for (let tenths = 0; tenths < minutes * 6; tenths += 1) {
    shared.clock.pass(10_000)
    await shared.doDueWork(living)
  }
}

describe('a process is killed at any step of beginning what has come up', () => {
  for (const [what, planned] of [
    ['a DAG', false],
    ['a goal', true],
  ] as const) {
    test(`${what}: the next one begins it exactly once`, { timeout: 120_000 }, async () => {
      const deaths = await dyingEverywhere(async (one) => {
        const { shared, mortal, dying, living } = one
        const begun = planned ? { goal: GOAL } : { dagId: await shared.dag(living) }
        const { id } = await living.schedules.create({ ...MINUTELY, ...begun })
        shared.clock.pass(MINUTE_MS)
        expect(shared.index.claim('schedule', shared.clock.now())).toEqual([id])
        const isAlive = await mortal.live(() => dying.schedules.fire(id))
        shared.clock.pass(31_000)
        await shared.doDueWork(living)

        const [occurrence, ...more] = await shared.occurrences(living, id)
        expect(occurrence).toMatchObject({ scheduledAt: '2026-03-01T12:01:00.000Z', status: 'started' })
        expect(more).toEqual([])
        const executionIds = await shared.executionIds(living, id)
        expect(executionIds).toEqual([occurrence?.executionId])
        expect(shared.index.rows.has(`execution ${executionIds[0]}`)).toBe(true)
        expect(shared.index.rows.get(`schedule ${id}`)).toBe('2026-03-01T12:02:00.000Z')
        const { rows: dags } = await living.dags.list({ status: 'planning' }, FIRST_PAGE)
        expect(dags).toEqual([])
        return isAlive
      })
      expect(deaths).toBeGreaterThan(planned ? 30 : 20)
    })
  }
})

describe('a process is killed at any step of keeping a schedule', () => {
  const changes: Record<string, (desi: DesiAgent, dagId: string) => Promise<unknown>> = {
    'that is made': (desi, dagId) => desi.schedules.create({ ...MINUTELY, dagId }),
    'that a new DAG has': (desi) => desi.dags.create({ ...GOAL, cronSchedule: '* * * * *' }),
    'that a DAG is given': (desi, dagId) => desi.dags.update(dagId, { cronSchedule: '* * * * *' }),
    'that is changed': async (desi, dagId) => {
      await desi.dags.update(dagId, { cronSchedule: '0 0 1 1 *' })
      await desi.schedules.update(dagId, { cronSchedule: '* * * * *' })
    },
    'that is activated': async (desi, dagId) => {
      await desi.dags.update(dagId, { cronSchedule: '* * * * *', scheduleActive: false })
      await desi.dags.update(dagId, { scheduleActive: true })
    },
  }
  for (const [which, change] of Object.entries(changes)) {
    test(`${which}: whatever it says afterwards is what happens`, { timeout: 60_000 }, async () => {
      const deaths = await dyingEverywhere(async (one) => {
        const { shared, mortal, dying, living } = one
        const dagId = await shared.dag(living)
        const isAlive = await mortal.live(() => change(dying, dagId))
        const [schedule] = (await living.schedules.list({}, FIRST_PAGE)).rows
        await goOn(one, 3)
        if (schedule) {
          const moments = (await shared.occurrences(living, schedule.id)).map(({ scheduledAt }) =>
            scheduledAt.slice(11, 16),
          )
          expect(moments).toEqual(schedule.nextRunAt?.endsWith('12:01:00.000Z') ? ['12:01', '12:02', '12:03'] : [])
        }
        expect(schedule !== undefined || !isAlive).toBe(true)
        return isAlive
      })
      expect(deaths).toBeGreaterThan(5)
    })
  }
})

const FIRST_PAGE = { limit: 100, offset: 0, cursor: null, includeTotal: false }
