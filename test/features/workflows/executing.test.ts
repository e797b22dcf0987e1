import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { expect, onTestFinished, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf, type TaskSketch } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

interface Step {
  taskId: string
  startedAt: string
  completedAt: string
  durationMs: number
  dependencies: string[]
}

test('a step starts the moment its own dependencies are done: the makespan is the critical path', async () => {
  const delays: Record<string, number> = { a: 200, b: 50, c: 60, d: 150, e: 120, f: 200, g: 50, h: 100, i: 180, j: 70 }
  const after: Record<string, string[]> = {
    c: ['b'],
    d: ['c'],
    e: ['b'],
    f: ['a'],
    g: ['a', 'e'],
    h: ['d'],
    i: ['g'],
    j: ['f', 'h', 'i'],
  }
  const tasks: TaskSketch[] = Object.keys(delays).map((id) => ({ id, prompt: id, dependencies: after[id] ?? [] }))
  const model = await openAiServer(({ messages }) => ({ text: 'ok', delayMs: delays[messages[0] ?? ''] ?? 0 }))
  const api = await startApi({ env: { ...model.env, MAX_PARALLEL_SUB_STEPS: '10' } })
  const acme = await api.tenant('acme')

  const { status, subSteps } = await acme.runDefinition(planOf(tasks))

  expect(status).toBe('completed')
  // Measured durations on both sides: what is judged is the waiting between steps, not the speed of the machine.
  const byTask = new Map<string, Step>(subSteps.map((step: Step) => [step.taskId, step]))
  const pathTo = (id: string): number => {
    const { durationMs, dependencies } = byTask.get(id) as Step
    return durationMs + Math.max(0, ...dependencies.map(pathTo))
  }
  const criticalPath = Math.max(...[...byTask.keys()].map(pathTo))
  const starts = subSteps.map(({ startedAt }: Step) => Date.parse(startedAt))
  const ends = subSteps.map(({ completedAt }: Step) => Date.parse(completedAt))
  expect(Math.max(...ends) - Math.min(...starts)).toBeLessThanOrEqual(criticalPath * 1.1)
})

test('at most maxParallelism steps run at once', async () => {
  let running = 0
  let most = 0
  const model = await openAiServer(async ({ task }) => {
    if (task !== 'answer') return 'ok'
    running += 1
    most = Math.max(most, running)
    await new Promise((resolve) => setTimeout(resolve, 20))
    running -= 1
    return 'ok'
  })
  const api = await startApi({ env: { ...model.env, MAX_PARALLEL_SUB_STEPS: '3' } })
  const acme = await api.tenant('acme')

  await acme.runDefinition(planOf(Array.from({ length: 12 }, (_, index) => ({ id: `t${index}` }))))

  expect(most).toBe(3)
})

test("a prompt reaches the model word for word; its dependencies' results go with it, labelled by task", async () => {
  const model = await openAiServer(({ messages }) => `result of ${messages[0]}`)
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const prompt = 'Use {{tasks.a.result}} literally & <exactly>.\n'

  await acme.runDefinition(
    planOf([
      { id: 'a', prompt: 'alpha' },
      { id: 'b', prompt, dependencies: ['a'] },
    ]),
  )

  const call = model.calls.find(({ messages }) => messages[0]?.startsWith('Use'))
  expect(call?.messages).toEqual([prompt, '<result task="a" description="task a">\nresult of alpha\n</result>'])
})

test('references in a tool’s parameters become values: whole, with a path, and inside text', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const write = (id: string, content: unknown, dependencies: string[] = []) => ({
    id,
    tool: 'writeFile',
    params: { path: `${id}.txt`, content },
    dependencies,
  })

  const execution = await acme.runDefinition(
    planOf([
      write('001', 'hello'),
      write('002', '{{tasks.001.result}}', ['001']),
      write('003', 'wrote {{tasks.001.result.path}} of {{ tasks.1.result.sizeBytes }} bytes', ['001']),
      write('004', '<Result of Task 1>', ['001']),
      write('005', '{{tasks.001.result.constructor}}', ['001']),
    ]),
  )

  const { body } = await acme.get(`/executions/${execution.id}/artifacts`)
  const contents: Record<string, string> = {}
  for (const { id, name } of body.data) {
    contents[name] = await (await acme.raw(`/api/v2/executions/${execution.id}/artifacts/${id}`)).text()
  }
  expect(contents['003.txt']).toBe('wrote 001.txt of 5 bytes')
  expect(JSON.parse(contents['002.txt'] ?? '')).toEqual({ path: '001.txt', sizeBytes: 5 })
  expect(JSON.parse(contents['004.txt'] ?? '')).toEqual({ path: '001.txt', sizeBytes: 5 })
  expect(contents['005.txt']).toBeUndefined()
  expect(execution.subSteps[4]).toMatchObject({ status: 'failed', error: { code: 'unresolved_reference' } })
})

test('cancel aborts the call in flight, is idempotent, and ends what has not ended', async () => {
  const model = await openAiServer(({ messages }) => (messages[0] === 'slow' ? 'hang!' : 'ok'))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const definition = planOf([
    { id: '1', prompt: 'slow' },
    { id: '2', prompt: 'later', dependencies: ['1'] },
  ])
  const { body: started } = await acme.post('/dags/execute-definition', { definition })
  await expect.poll(() => model.calls.length).toBe(1)

  const cancelled = await acme.post(`/executions/${started.id}/cancel`)

  expect(cancelled).toMatchObject({ status: 200, body: { status: 'cancelled' } })
  expect((await acme.post(`/executions/${started.id}/cancel`)).body.completedAt).toBe(cancelled.body.completedAt)
  const execution = await acme.ended(started.id)
  expect(execution.subSteps.map(({ status }: { status: string }) => status)).toEqual(['cancelled', 'cancelled'])
  const events = await acme.events(started.id)
  expect(events.at(-1)?.event).toBe('execution:cancelled')
  expect(await acme.post(`/executions/${started.id}/resume`)).toMatchObject({ status: 409 })
  const scheduler = async () => ((await (await acme.raw('/health/ready')).json()) as { scheduler: object }).scheduler
  await expect.poll(scheduler).toMatchObject({ runningExecutions: 0 })
  expect(model.calls).toHaveLength(1)
})

test('the costs of planning, steps and synthesis add up to the totals, in every view', async () => {
  const model = await openAiServer(({ task }) =>
    task === 'plan'
      ? {
          text: JSON.stringify(planOf([{ id: '1' }, { id: '2' }], { title: 'T' })),
          usage: { prompt_tokens: 1234, completion_tokens: 99 },
        }
      : { text: 'ok', usage: { prompt_tokens: 1000, completion_tokens: 333, cached_tokens: 500 } },
  )
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')

  const execution = await acme.run('do two things')
  const { body: cost } = await acme.get(`/costs/executions/${execution.id}`)

  const sum = (parts: { costUsdMicros: number }[]) => parts.reduce((total, part) => total + part.costUsdMicros, 0)
  expect(cost.totals.planningCostUsdMicros).toBe(sum(cost.planning.attempts))
  expect(cost.totals.executionCostUsdMicros).toBe(sum([...cost.execution.subSteps, cost.execution.synthesis]))
  expect(cost.totals.executionCostUsdMicros).toBe(execution.costUsdMicros)
  expect(cost.totals.grandTotalCostUsdMicros).toBe(cost.totals.planningCostUsdMicros + execution.costUsdMicros)
  expect(execution.totalUsage).toEqual({
    promptTokens: 3000,
    completionTokens: 999,
    totalTokens: 3999,
    cachedTokens: 1500,
  })
  expect(cost).toMatchObject({ unpriced: [], priceVersion: expect.stringContaining('genai-prices') })
  expect(cost.execution.synthesis.costUsdMicros).toBeGreaterThan(0)
})

test('a model without a price costs "unknown", not 0', async () => {
  const model = await openAiServer(() => 'ok')
  const api = await startApi({ env: { ...model.env, LLM_MODEL: 'my-own-model' } })
  const acme = await api.tenant('acme')

  const execution = await acme.runDefinition(planOf([{ id: '1' }]))

  expect(execution).toMatchObject({ status: 'completed', costUsdMicros: null, totalUsage: { totalTokens: 240 } })
  const { body: cost } = await acme.get(`/costs/executions/${execution.id}`)
  expect(cost.totals.grandTotalCostUsdMicros).toBeNull()
  expect(cost.unpriced).toContainEqual({
    purpose: 'sub_step',
    taskId: '1',
    provider: 'openai',
    model: 'my-own-model',
    calls: 1,
  })
})

test('a deleted execution is gone with its files; a running one cannot be deleted', async () => {
  const model = await openAiServer(() => 'hang!')
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf([{ id: '1' }]) })

  expect(await acme.delete(`/executions/${started.id}`)).toMatchObject({
    status: 409,
    body: { code: 'execution_active' },
  })
  await acme.post(`/executions/${started.id}/cancel`)
  expect((await acme.delete(`/executions/${started.id}`)).status).toBe(204)

  for (const path of ['', '/details', '/sub-steps', '/events', '/artifacts']) {
    expect((await acme.get(`/executions/${started.id}${path}`)).status).toBe(404)
  }
})

test('a page is read through the guard; the operator’s allow-list is the only exception', async () => {
  let visits = 0
  const server = createServer((_, response) => {
    visits += 1
    response.writeHead(200, { 'content-type': 'text/html' }).end('<title>Bees</title><h1>Bees</h1><p>They dance.</p>')
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
  const host = `127.0.0.1:${(server.address() as AddressInfo).port}`
  const definition = planOf([{ id: '1', tool: 'fetchPage', params: { url: `http://${host}/bees` } }])

  const strict = await startApi()
  const refused = await (await strict.tenant('acme')).runDefinition(definition)
  expect(refused.subSteps[0]).toMatchObject({ status: 'failed', attempt: 1, error: { code: 'page_refused' } })
  expect(visits).toBe(0)

  const trusting = await startApi({ env: { OUTBOUND_ALLOW: host } })
  const read = await (await trusting.tenant('acme')).runDefinition(definition)
  expect(read.subSteps[0].result).toMatchObject({ title: 'Bees', text: expect.stringContaining('They dance.') })
})
