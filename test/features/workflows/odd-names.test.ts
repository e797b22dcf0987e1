import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

describe('names that mean something to the language mean nothing to us', () => {
  for (const name of ['__proto__', 'constructor', 'x.constructor', 'toString']) {
    test(`a file called ${name}`, async () => {
      const api = await startApi()
      const acme = await api.tenant('acme')
      const execution = await acme.runDefinition(
        planOf([{ id: '1', tool: 'writeFile', params: { path: name, content: 'text' } }]),
      )
      expect(execution.status).toBe('completed')
      const { status } = await acme.post('/dags', {
        goalText: `Summarise ${name}`,
        inputs: [{ name, content: 'One. Two.' }],
      })
      expect([201, 202]).toContain(status)
    })
  }

  test('a task id in any script', async () => {
    const model = await openAiServer(() => 'ok')
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme')
    const execution = await acme.runDefinition(
      planOf([{ id: '日本' }, { id: 'none' }, { id: 'ünï', dependencies: ['日本', 'none'] }]),
    )
    expect(execution).toMatchObject({ status: 'completed', completedTasks: 3 })
    expect(execution.subSteps[2].dependencies).toEqual(['日本', 'none'])
    expect(model.calls[0]?.idempotencyKey).toBe(encodeURI(`${execution.id}/日本/0`))
  })
})

test('what is nested too deeply is refused, not a server error', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`
  const agent = await acme.post('/agents', `{"name":"a","version":"1","systemPrompt":"x","metadata":{"d":${deep}}}`)
  expect(agent).toMatchObject({ status: 400, body: { code: 'validation_failed' } })
  const plan = await acme.post('/dags/execute-definition', `{"definition":{"d":${deep}}}`)
  expect(plan).toMatchObject({ status: 400, body: { code: 'validation_failed' } })
})

test('a plan that asks a question instead of planning does not get past the validator', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const { body: planned } = await acme.post('/dags', { goalText: 'Count the words of "a b c"' })
  const plan = planOf([{ id: '1', tool: 'bash', params: {} }], { clarification_needed: true, clarification_query: 'x' })
  expect(await acme.patch(`/dags/${planned.dagId}`, { plan })).toMatchObject({
    status: 422,
    body: { code: 'plan_invalid' },
  })
  expect(await acme.post('/dags/execute-definition', { definition: plan })).toMatchObject({ status: 422 })
})

test('HEAD on an event stream opens none', async () => {
  const model = await openAiServer(() => 'hang!')
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf([{ id: '1' }]) })
  const path = `/api/v2/executions/${started.id}/events`
  for (let i = 0; i < 201; i += 1) expect((await acme.raw(path, { method: 'HEAD' })).status).toBe(200)
  const stream = await acme.raw(path)
  expect(stream.status).toBe(200)
  await stream.body?.cancel()
})

test('details and costs are of one moment, also while the execution runs', async () => {
  const model = await openAiServer(() => ({ text: 'ok', delayMs: 2 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', {
    definition: planOf(Array.from({ length: 30 }, (_, index) => ({ id: `t${index}` }))),
  })
  for (let isRunning = true; isRunning; ) {
    const { body } = await acme.get(`/executions/${started.id}/details`)
    const completed = body.subSteps.filter(({ status }: { status: string }) => status === 'completed').length
    expect(completed).toBe(body.completedTasks)
    const { body: cost } = await acme.get(`/costs/executions/${started.id}`)
    const parts = [...cost.execution.subSteps, cost.execution.synthesis]
    expect(parts.reduce((sum: number, part: { costUsdMicros: number }) => sum + part.costUsdMicros, 0)).toBe(
      cost.execution.costUsdMicros,
    )
    isRunning = body.status !== 'completed'
    await new Promise((resolve) => setTimeout(resolve, 1)) // calls in this process alone never let the model answer
  }
})

test('what an execution wrote is gone with it, replaced versions too', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const write = (id: string, dependencies: string[]) => ({
    id,
    tool: 'writeFile',
    params: { path: 'a.md', content: id },
    dependencies,
  })
  const execution = await acme.runDefinition(planOf([write('1', []), write('2', ['1']), write('3', ['2'])]))
  const files = () =>
    readdirSync(join(api.dataDir, 'blobs'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  expect(files()).toHaveLength(3)
  await acme.delete(`/executions/${execution.id}`)
  expect(files()).toHaveLength(0)
})
