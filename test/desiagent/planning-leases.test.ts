import { expect, test } from 'vitest'
import type { DesiAgent } from '#desiagent/index.ts'
import { claimDueWork } from '#kit/db/directory.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { ModelCall, Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { processes } from './processes.ts'

const GOOD = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))
const answer = (_: ModelCall, isLetGo?: true): Reply | null => (isLetGo ? GOOD : null)
/** The first answer is no plan; when it is asked again it takes its time. */
const secondAnswer = ({ messages }: ModelCall, isLetGo?: true) =>
  messages.length === 1 ? 'no plan' : isLetGo ? GOOD : null

/** Process A plans, process B looks for due work as the product does. */
async function planning(options: Parameters<typeof processes>[1]) {
  const all = await processes(2, options)
  const [a, b] = all.desis as [DesiAgent, DesiAgent]
  const lookForDueWork = async (who = b) => {
    const now = all.now()
    const found = await claimDueWork(all.control, now, addMilliseconds(now, 30_000).toISOString(), 10)
    for (const { kind, subjectId } of found) {
      if (kind === 'planning') await who.dags.interrupt(subjectId)
      if (kind === 'execution') await who.executions.run(subjectId)
    }
    return found.map(({ kind }) => kind).toSorted()
  }
  const due = () => all.control.selectFrom('due_work').select('kind').orderBy('kind').execute()
  return { ...all, a, b, lookForDueWork, due }
}

const newest = async (desi: DesiAgent) =>
  (await desi.dags.list({}, { limit: 1, offset: 0, cursor: null, includeTotal: false })).rows[0]
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

test('a DAG that a living process plans is left alone, however long it takes', async () => {
  const { a, b, model, letGo, lookForDueWork, due } = await planning({ leaseMs: 600, answer })
  const planned = a.dags.create({ goalText: 'Say a' })
  await expect.poll(() => model.calls.length).toBe(1)

  await pause(1_500)

  expect(await lookForDueWork()).toEqual([])
  expect((await newest(b))?.status).toBe('planning')
  letGo()
  expect((await planned).status).toBe('success')
  expect(await due()).toEqual([])
})

test('one whose process says nothing for the time of its lease is interrupted; what its calls cost is kept', async () => {
  const { a, b, db, model, clock, letGo, lookForDueWork, due } = await planning({ answer: secondAnswer })
  const planned = a.dags.create({ goalText: 'Say a' })
  await expect.poll(() => model.calls.length).toBe(2)

  clock.aheadMs = 29_000
  expect(await lookForDueWork()).toEqual([])
  clock.aheadMs = 31_000
  expect(await lookForDueWork()).toEqual(['planning'])

  const dag = await newest(b)
  expect(dag).toMatchObject({ status: 'failed', error: { code: 'interrupted' }, plan: null })
  expect(dag?.planningAttempts.length).toBe(1)
  expect(await due()).toEqual([])
  letGo() // it was not dead after all, and its second call is paid for
  expect(await planned).toMatchObject({ status: 'failed', error: { code: 'interrupted' }, plan: null })
  const ledger = await db
    .selectFrom('model_calls')
    .select('purpose')
    .where('dag_id', '=', dag?.id as string)
    .execute()
  expect([(await newest(b))?.planningAttempts.length, ledger.length]).toEqual([2, 2])
  expect(await due()).toEqual([])
})

test('a process that stood still for longer than its lease does not take itself for dead', async () => {
  const { a, model, clock, letGo, lookForDueWork } = await planning({ answer })
  const planned = a.dags.create({ goalText: 'Say a' })
  await expect.poll(() => model.calls.length).toBe(1)

  clock.aheadMs = 31_000
  expect(await lookForDueWork(a)).toEqual(['planning'])

  letGo()
  expect((await planned).status).toBe('success')
})

test('planning again after a question is left alone and interrupted alike', async () => {
  const question = JSON.stringify(planOf([], { clarification_needed: true, clarification_query: 'Which a?' }))
  const { a, b, model, clock, letGo, lookForDueWork } = await planning({
    answer: ({ messages }, isLetGo) => (messages.join().includes('Which a?') ? (isLetGo ? GOOD : null) : question),
  })
  const { id } = await a.dags.create({ goalText: 'Say a' })
  const planned = a.dags.resumeClarification(id, 'This one')
  await expect.poll(() => model.calls.length).toBe(2)

  expect(await lookForDueWork()).toEqual([])
  clock.aheadMs = 31_000
  expect(await lookForDueWork()).toEqual(['planning'])
  expect(await newest(b)).toMatchObject({ id, status: 'failed', error: { code: 'interrupted' } })
  letGo()
  await planned
})

test('an execution that is announced is not forgotten while its goal is planned, however long it takes', async () => {
  const { a, model, control, letGo, lookForDueWork, due } = await planning({ leaseMs: 600, answer })
  const planned = a.dags.createAndExecute({ goalText: 'Say a' })
  await expect.poll(() => model.calls.length).toBe(1)
  await pause(1_500)
  expect(await lookForDueWork()).toEqual([])
  expect(await due()).toEqual([{ kind: 'execution' }, { kind: 'planning' }])

  await control.deleteFrom('due_work').execute() // as if it had been taken for dead all the same
  letGo()
  expect((await planned).executionId).not.toBeNull()
  expect(await due()).toEqual([{ kind: 'execution' }])
})

test('one whose goal comes to no plan is not due any more', async () => {
  const { a, due } = await planning({ answer: () => 'no plan' })
  expect(await a.dags.createAndExecute({ goalText: 'Say a' })).toMatchObject({ executionId: null })
  expect(await due()).toEqual([])
})

test('nor one whose planning was interrupted', async () => {
  const { a, model, clock, letGo, lookForDueWork, due } = await planning({ answer })
  const planned = a.dags.createAndExecute({ goalText: 'Say a' })
  await expect.poll(() => model.calls.length).toBe(1)

  clock.aheadMs = 31_000
  expect(await lookForDueWork()).toEqual(['execution', 'planning'])
  letGo()

  expect(await planned).toMatchObject({ dag: { status: 'failed' }, executionId: null })
  expect(await due()).toEqual([])
})
