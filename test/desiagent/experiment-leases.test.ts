import { expect, test } from 'vitest'
import type { DesiAgent } from '#desiagent/index.ts'
import { claimDueWork } from '#kit/db/directory.ts'
import type { ModelCall } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { processes } from './processes.ts'

const GOOD = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))

const answer = (_: ModelCall, isLetGo?: true) => (isLetGo ? GOOD : null)

async function experimentOf(desi: DesiAgent, trials: number): Promise<string> {
  const temperatures = Array.from({ length: trials }, (_, index) => index / 10)
  return (await desi.experiments.create({ goalText: 'Say a', models: ['gpt-4o-mini'], temperatures })).id
}

const temperaturesOf = (calls: readonly ModelCall[]) => calls.map(({ body }) => body.temperature).toSorted()
const statusesOf = async (desi: DesiAgent, id: string) =>
  (await desi.experiments.get(id)).trials.map(({ status }) => status)

test('of two processes that take the same experiment at once one runs it', async () => {
  const { model, letGo, desis } = await processes(2, { answer })
  const [a, b] = desis as [DesiAgent, DesiAgent]
  const id = await experimentOf(a, 6)

  const runs = [a.experiments.run(id), b.experiments.run(id)]
  await Promise.race(runs) // the one that came too late
  expect((await statusesOf(a, id)).toSorted()).toEqual([...Array(2).fill('pending'), ...Array(4).fill('running')])
  letGo()
  await Promise.all(runs)

  expect(await a.experiments.get(id)).toMatchObject({ status: 'completed', endedTrials: 6 })
  expect(await statusesOf(a, id)).toEqual(Array(6).fill('success'))
  expect(temperaturesOf(model.calls)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5])
})

test('taking an experiment twice in one process is harmless', async () => {
  const { model, letGo, desis } = await processes(1, { answer })
  const [desi] = desis as [DesiAgent]
  const id = await experimentOf(desi, 6)

  const first = desi.experiments.run(id)
  await expect.poll(() => model.calls.length).toBe(4)
  await desi.experiments.run(id)
  letGo()
  await first

  expect(await statusesOf(desi, id)).toEqual(Array(6).fill('success'))
  expect(temperaturesOf(model.calls)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5])
})

test('who goes on working keeps the lease, however long it takes', async () => {
  const { letGo, desis, model, control, now } = await processes(2, { leaseMs: 600, answer })
  const [a, b] = desis as [DesiAgent, DesiAgent]
  const id = await experimentOf(a, 2)

  const run = a.experiments.run(id)
  await expect.poll(() => model.calls.length).toBe(2)
  await new Promise((resolve) => setTimeout(resolve, 1_500))
  expect(await claimDueWork(control, now(), '9999', 10)).toEqual([]) // nobody would look at it, nor at its trials
  await b.experiments.run(id)
  letGo()
  await run

  expect(await statusesOf(a, id)).toEqual(['success', 'success'])
})

test('when its lease has run out another process goes on, and whoever had it begins and changes nothing any more', async () => {
  const { model, clock, letGo, desis } = await processes(2, { answer })
  const [a, b] = desis as [DesiAgent, DesiAgent]
  const id = await experimentOf(a, 9)
  const first = a.experiments.run(id)
  await expect.poll(() => model.calls.length).toBe(4)

  clock.aheadMs = 29_000
  await b.experiments.run(id)
  expect((await statusesOf(b, id)).toSorted()).toEqual([...Array(5).fill('pending'), ...Array(4).fill('running')])
  clock.aheadMs = 31_000
  const second = b.experiments.run(id)
  await expect.poll(() => model.calls.length).toBe(8)
  letGo(0)
  await first
  expect(model.calls.length).toBe(8)
  letGo(1)
  await second

  const { status, trials } = await a.experiments.get(id)
  expect(status).toBe('completed')
  const codes = trials.toSorted((x, y) => x.position - y.position).map(({ error, status }) => error?.code ?? status)
  expect(codes).toEqual([...Array(4).fill('interrupted'), ...Array(5).fill('success')])
  expect(temperaturesOf(model.calls)).toEqual([0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
})
