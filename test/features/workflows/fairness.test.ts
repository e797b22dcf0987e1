import { expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

const CHAIN = planOf(
  Array.from({ length: 4 }, (_, index) => ({ id: `${index}`, dependencies: index === 0 ? [] : [`${index - 1}`] })),
)
const SINGLE = planOf([{ id: 'only', prompt: 'just this' }])

/** Two tenants, and a model that answers each sub-step of the chain when it is told to, and all else at once. */
async function withHeldSteps(env: Record<string, string>) {
  const held = new Set<() => void>()
  const model = await openAiServer(async ({ task, messages }) => {
    if (task === 'answer' && messages[0] !== 'just this') {
      await new Promise<void>((resolve) => held.add(resolve))
    }
    return 'ok'
  })
  const letGo = (count: number) => {
    for (const answer of [...held].slice(0, count)) {
      held.delete(answer)
      answer()
    }
  }
  const api = await startApi({ env: { ...model.env, ...env } })
  return { model, api, held, letGo, acme: await api.tenant('acme'), globex: await api.tenant('globex') }
}

async function begin(client: Client, definition: object, count = 1): Promise<string[]> {
  const ids: string[] = []
  for (let i = 0; i < count; i += 1) {
    const { status, body } = await client.post('/dags/execute-definition', { definition })
    expect(status).toBe(202)
    ids.push(body.id)
  }
  return ids
}

const idsOf = async (client: Client, status: string): Promise<string[]> =>
  (await client.get(`/executions?status=${status}&limit=100`)).body.data.map(({ id }: { id: string }) => id).toSorted()

test('one tenant with hundreds of queued executions on all places delays another’s single one by one sub-step', async () => {
  const { model, held, letGo, acme, globex } = await withHeldSteps({ MAX_CONCURRENT_EXECUTIONS: '3' })
  const queued = await begin(acme, CHAIN, 300)
  await expect.poll(() => held.size).toBe(3)

  const [single = ''] = await begin(globex, SINGLE)
  expect((await globex.get(`/executions/${single}`)).body.status).toBe('pending')
  letGo(1) // of the three sub-steps in flight one ends

  expect(await globex.ended(single)).toMatchObject({ status: 'completed', completedTasks: 1 })
  await expect.poll(() => held.size).toBe(3)
  expect(await idsOf(acme, 'running')).toEqual(queued.slice(0, 3).toSorted()) // who gave way goes on before the rest
  const steps = model.calls.filter(({ messages }) => messages[0]?.startsWith('do ')).map((call) => call.idempotencyKey)
  expect([steps.length, new Set(steps).size]).toEqual([4, 4]) // and does nothing again
})

test('a tenant has no more executions running than its share, however many places are free', async () => {
  const { held, letGo, acme, globex } = await withHeldSteps({
    MAX_CONCURRENT_EXECUTIONS: '4',
    MAX_CONCURRENT_EXECUTIONS_PER_TENANT: '2',
  })
  const queued = await begin(acme, CHAIN, 5)
  await expect.poll(() => held.size).toBe(2)
  expect(await globex.ended((await begin(globex, SINGLE))[0] as string)).toMatchObject({ status: 'completed' })
  expect(await idsOf(acme, 'running')).toEqual(queued.slice(0, 2).toSorted())

  while ((await idsOf(acme, 'completed')).length < 5) {
    expect(held.size).toBeLessThanOrEqual(2)
    letGo(1)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
})

test('what runs and what waits in this process is counted', async () => {
  const { api, held, acme, globex } = await withHeldSteps({ MAX_CONCURRENT_EXECUTIONS: '1' })
  for (const client of [acme, globex, acme]) await begin(client, CHAIN)
  await expect.poll(() => held.size).toBe(1)
  const text = await (await api.superAdmin.raw('/metrics')).text()
  expect(text).toContain('desi_executions_running 1')
  expect(text).toContain('desi_executions_queued 2')
})
