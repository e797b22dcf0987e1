import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ControlDb, ControlTables } from '#kit/db/control-tables.ts'
import { bringForward, claimDueWork, type DueWork, directoryOf, putDueWorkOnce } from '#kit/db/directory.ts'
import { migrate } from '#kit/db/migrate.ts'
import { controlMigrations } from '#migrations/control/index.ts'
import { betterSqliteBackend } from '#platform/node/sqlite/backend.ts'
import { openDatabase, temporaryFolder } from './backends.ts'

const NOW = new Date('2026-03-01T12:00:00.000Z')
const inMs = (ms: number) => new Date(NOW.getTime() + ms).toISOString()
const UNTIL = inMs(30_000)

/** A control database, as each of several processes sees it. */
async function controls(processes: number): Promise<ControlDb[]> {
  const file = join(temporaryFolder(), 'admin.db')
  const opened = Array.from({ length: processes }, () =>
    openDatabase<ControlTables>(betterSqliteBackend(file, 'NORMAL')),
  )
  await migrate(opened[0] as never, controlMigrations)
  return opened
}

async function control(): Promise<ControlDb> {
  return (await controls(1))[0] as ControlDb
}

/** @param dueInMs  of each piece, from now */
async function put(db: ControlDb, ...dueInMs: number[]): Promise<void> {
  for (const [index, ms] of dueInMs.entries())
    await directoryOf(db, `tenant ${index % 3}`).putDueWork('execution', `${index}`, inMs(ms))
}

const subjects = (works: readonly DueWork[]) => works.map(({ subjectId }) => subjectId).toSorted()
const all = (db: ControlDb) =>
  db.selectFrom('due_work').select(['subject_id', 'due_at']).orderBy('subject_id').execute()

test('what is due is given, the oldest first and no more than asked for; what is not due yet is left', async () => {
  const db = await control()
  await put(db, -1, -3, 0, 1, -2)

  expect(subjects(await claimDueWork(db, NOW, UNTIL, 2))).toEqual(['1', '4'])
  expect(subjects(await claimDueWork(db, NOW, UNTIL, 10))).toEqual(['0', '2'])
  expect(await claimDueWork(db, NOW, UNTIL, 10)).toEqual([])
  expect((await all(db)).map(({ due_at }) => due_at)).toEqual([UNTIL, UNTIL, UNTIL, inMs(1), UNTIL])
})

test('what was taken comes up again, unless who took it removed it or set another time', async () => {
  const db = await control()
  await put(db, -1, -1, -1)
  const [first, second] = await claimDueWork(db, NOW, UNTIL, 10)
  await directoryOf(db, first?.tenantId as string).removeDueWork('execution', first?.subjectId as string)
  await directoryOf(db, second?.tenantId as string).putDueWork('execution', second?.subjectId as string, inMs(60_000))

  const again = (ms: number) => claimDueWork(db, new Date(NOW.getTime() + ms), inMs(90_000), 10)
  expect(await again(29_999)).toEqual([])
  expect((await again(30_000)).length).toBe(1)
  expect(subjects(await again(60_000))).toEqual([second?.subjectId])
})

test('only the kinds asked for are taken', async () => {
  const db = await control()
  await directoryOf(db, 'a').putDueWork('planning', '1', inMs(-2))
  await directoryOf(db, 'a').putDueWork('invoice', '2', inMs(-1))
  expect(subjects(await claimDueWork(db, NOW, UNTIL, 10, ['invoice', 'schedule']))).toEqual(['2'])
})

test('of several processes that ask at once none gets what another got, and nothing is left over', async () => {
  const work = fc.array(fc.integer({ min: -5, max: 5 }), { minLength: 1, maxLength: 120 })
  await fc.assert(
    fc.asyncProperty(work, fc.integer({ min: 1, max: 40 }), async (dueInMs, limit) => {
      const processes = await controls(3)
      await put(processes[0] as ControlDb, ...dueInMs)
      const takeAll = async (db: ControlDb): Promise<DueWork[]> => {
        const taken = await claimDueWork(db, NOW, UNTIL, limit)
        return taken.length === 0 ? [] : [...taken, ...(await takeAll(db))]
      }
      const taken = (await Promise.all(processes.map(takeAll))).flat()
      const due = dueInMs.flatMap((ms, index) => (ms <= 0 ? [`${index}`] : []))
      expect(subjects(taken)).toEqual(due.toSorted())
    }),
    { numRuns: 30 },
  )
})

test('what a dead process held or had just taken is brought forward, and nothing else', async () => {
  const db = await control()
  await put(db, 90_000, -5)
  await directoryOf(db, 'a').putDueWork('invoice', 'later', inMs(30_001))
  await directoryOf(db, 'a').putDueWork('schedule', 'taken', inMs(30_000))

  await bringForward(db, ['execution', 'planning'], NOW)

  expect((await all(db)).map(({ due_at }) => due_at)).toEqual([inMs(0), inMs(-5), inMs(30_001), inMs(0)])
})

test('work that is put once keeps the time it has', async () => {
  const db = await control()
  const work = { tenantId: 'a', kind: 'accepted_invitation', subjectId: '1' } as const
  await putDueWorkOnce(db, work, inMs(1_000))
  await putDueWorkOnce(db, work, inMs(2_000))
  expect((await all(db)).map(({ due_at }) => due_at)).toEqual([inMs(1_000)])
})
