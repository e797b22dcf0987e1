import { describe, expect, test } from 'vitest'
import { openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

/** An API whose planner answers these, one after the other (the last one again and again). */
async function withPlans(...plans: (Reply | object)[]) {
  let asked = 0
  const model = await openAiServer(({ task }) => {
    if (task === 'title') return 'A fine title'
    if (task !== 'plan') return 'done'
    const reply = plans[Math.min(asked, plans.length - 1)] as Reply
    asked += 1
    return typeof reply === 'object' && 'sub_tasks' in reply ? JSON.stringify(reply) : reply
  })
  const api = await startApi({ env: model.env })
  return { model, acme: await api.tenant('acme') }
}

const GOOD = planOf([{ id: '001' }], { title: 'Good' })

test('a plan that is invalid twice is corrected; each attempt is kept with its reason, usage and cost', async () => {
  const { model, acme } = await withPlans('no JSON at all', planOf([{ id: '001', tool: 'noSuchTool' }]), GOOD)

  const { status, body } = await acme.post('/dags', { goalText: 'do it well' })

  expect(status).toBe(201)
  expect(body).toMatchObject({
    status: 'success',
    dag: { status: 'success', attempts: 3, dagTitle: 'Good', agentName: 'planner' },
  })
  const { planning } = body.dag
  expect(
    planning.attempts.map(({ attempt, reason }: { attempt: number; reason: string }) => [attempt, reason]),
  ).toEqual([
    [1, 'initial'],
    [2, 'retry_parse_error'],
    [3, 'retry_validation'],
  ])
  expect(planning.attempts[1].errorMessage).toContain('noSuchTool')
  expect(planning.usage).toEqual({ promptTokens: 300, completionTokens: 60, totalTokens: 360, cachedTokens: 0 })
  expect(planning.costUsdMicros).toBe(3 * planning.attempts[0].costUsdMicros)
  expect(planning.attempts[0].costUsdMicros).toBeGreaterThan(0)
  expect(model.calls[2]?.messages.at(-1)).toContain('The tool "noSuchTool"'.slice(9))
})

test('three invalid plans are a 422 that says why; the attempts are kept for audit', async () => {
  const { acme } = await withPlans(planOf([{ id: '001', dependencies: ['009'] }]))

  const { status, body } = await acme.post('/dags', { goalText: 'do it well' })

  expect(status).toBe(422)
  expect(body).toMatchObject({
    code: 'plan_invalid',
    details: { problems: ['Task 001 depends on "009", which does not exist.'] },
  })
  const { body: dag } = await acme.get(`/dags/${body.details.dagId}`)
  expect(dag).toMatchObject({ status: 'validation_error', plan: null, attempts: 3 })
  expect(await acme.post(`/dags/${dag.id}/execute`)).toMatchObject({
    status: 409,
    body: { code: 'dag_not_executable' },
  })
})

test('a provider out of reach is a 502, and the DAG says so', async () => {
  const { acme } = await withPlans({ status: 503 })

  const { status, body } = await acme.post('/create-execute', { goalText: 'do it well' })

  expect(status).toBe(502)
  expect(body).toMatchObject({ code: 'planning_failed', details: { reason: 'server_error' } })
  expect((await acme.get(`/dags/${body.details.dagId}`)).body.status).toBe('failed')
  expect((await acme.get('/executions')).body.data).toEqual([])
})

test('the planner asks; the answer is told to it, and it goes on', async () => {
  const question = { ...planOf([]), clarification_needed: true, clarification_query: 'Which file?' }
  const { model, acme } = await withPlans(question, GOOD)

  const asked = await acme.post('/create-execute', { goalText: 'summarise it' })
  expect(asked).toMatchObject({
    status: 202,
    body: { status: 'clarification_required', clarificationQuery: 'Which file?' },
  })
  const { dagId } = asked.body
  const answered = await acme.post(`/dags/${dagId}/resume-clarification`, { userResponse: 'notes.md' })

  expect(answered).toMatchObject({ status: 201, body: { status: 'success', dagId } })
  expect(model.calls[1]?.messages[0]).toContain('Q: Which file?\nA: notes.md')
  expect(await acme.post(`/dags/${dagId}/resume-clarification`, { userResponse: 'again' })).toMatchObject({
    status: 409,
    body: { code: 'clarification_not_awaited' },
  })
})

test('gaps that the planner names itself are sent back once more', async () => {
  const withGap = { ...GOOD, validation: { coverage: 'low', gaps: ['nobody counts'], iteration_triggers: [] } }
  const { model, acme } = await withPlans(withGap, GOOD)

  const { body } = await acme.post('/dags', { goalText: 'count' })

  expect(body.dag.planning.attempts.map(({ reason }: { reason: string }) => reason)).toEqual(['initial', 'retry_gaps'])
  expect(model.calls[1]?.messages.at(-1)).toContain('nobody counts')
})

test('a plan without a title is given one, and the call for it is on the bill', async () => {
  const untitled = planOf([{ id: '001' }])
  const { acme } = await withPlans(untitled)

  const { body } = await acme.post('/dags', { goalText: 'count' })

  expect(body.dag).toMatchObject({ dagTitle: 'A fine title', attempts: 1 })
  expect(body.dag.planning.attempts.map(({ reason }: { reason: string }) => reason)).toEqual([
    'initial',
    'title_master',
  ])
})

describe('a plan gets in only through the validator, and each problem is named', () => {
  const problems: Record<string, [object, RegExp]> = {
    'unknown tool': [
      planOf([{ id: '1', tool: 'bash', params: { command: 'id' } }]),
      /tool "bash", which does not exist/,
    ],
    'unknown agent': [
      { ...GOOD, sub_tasks: [{ ...GOOD.sub_tasks[0], tool_or_prompt: { name: 'ghost', params: { prompt: 'x' } } }] },
      /agent "ghost", which does not exist/,
    ],
    'unknown dependency': [planOf([{ id: '1', dependencies: ['7'] }]), /depends on "7"/],
    cycle: [
      planOf([
        { id: '1', dependencies: ['2'] },
        { id: '2', dependencies: ['1'] },
      ]),
      /wait for each other: 1 -> 2 -> 1/,
    ],
    'duplicate id': [planOf([{ id: '1' }, { id: '001' }]), /Two tasks have the id/],
    'bad parameters': [
      planOf([{ id: '1', tool: 'readFile', params: { path: '../secret' } }]),
      /parameters of readFile: path/,
    ],
    'unknown parameter': [planOf([{ id: '1', tool: 'readFile', params: { path: 'a.md', mode: 'rw' } }]), /mode/],
    'reference to a stranger': [
      planOf([{ id: '1' }, { id: '2', tool: 'writeFile', params: { path: 'a.md', content: '{{tasks.1.result}}' } }]),
      /refers to the result of task 1, which is not among its dependencies/,
    ],
    'no prompt': [
      { ...GOOD, sub_tasks: [{ ...GOOD.sub_tasks[0], tool_or_prompt: { name: 'inference', params: {} } }] },
      /no params.prompt/,
    ],
    'a skill': [{ ...GOOD, sub_tasks: [{ ...GOOD.sub_tasks[0], action_type: 'skill' }] }, /skill/],
    'no tasks': [planOf([]), /sub_tasks is empty/],
    'too many tasks': [planOf(Array.from({ length: 101 }, (_, index) => ({ id: String(index) }))), /sub_tasks/],
    'unknown field': [{ ...GOOD, extra: true }, /extra/],
  }
  for (const [name, [definition, problem]] of Object.entries(problems)) {
    test(name, async () => {
      const api = await startApi()
      const acme = await api.tenant('acme')

      const { status, body } = await acme.post('/dags/execute-definition', { definition })
      expect(status).toBe(422)
      expect(body.code).toBe('plan_invalid')
      expect(body.details.problems.join('\n')).toMatch(problem)

      const { body: planned } = await acme.post('/dags', { goalText: 'Count the words of "a b c"' })
      const patched = await acme.patch(`/dags/${planned.dagId}`, { plan: definition })
      expect(patched).toMatchObject({ status: 422, body: { code: 'plan_invalid' } })
    })
  }
})

test('a plan that is patched in through the validator is the one that is executed', async () => {
  const { acme } = await withPlans(GOOD)
  const { body } = await acme.post('/dags', { goalText: 'one thing' })

  const patched = await acme.patch(`/dags/${body.dagId}`, {
    dagTitle: 'Two things',
    plan: planOf([{ id: 'a' }, { id: 'b' }]),
  })

  expect(patched).toMatchObject({ status: 200, body: { dagTitle: 'Two things' } })
  const { body: started } = await acme.post(`/dags/${body.dagId}/execute`)
  expect(await acme.ended(started.id)).toMatchObject({ status: 'completed', totalTasks: 2, dagTitle: 'Two things' })
  expect(await acme.delete(`/dags/${body.dagId}`)).toMatchObject({
    status: 409,
    body: { code: 'dag_has_executions', details: { executionCount: 1 } },
  })
  expect((await acme.delete(`/executions/${started.id}`)).status).toBe(204)
  expect((await acme.delete(`/dags/${body.dagId}`)).status).toBe(204)
  expect((await acme.get(`/dags/${body.dagId}`)).status).toBe(404)
})
