import { expect, onTestFinished, test, vi } from 'vitest'
import { fetchPage } from '#desiagent/tools/fetch-page.ts'
import { ToolError, type ToolUse } from '#desiagent/tools/tool.ts'
import { heldModel } from '#test/support/held-model.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

type Steps = { taskId: string; status: string; toolArguments: unknown }[]

async function office(env: Record<string, string> = {}) {
  const api = await startApi({ env })
  return { api, acme: await api.tenant('acme') }
}

const argumentsOf = ({ subSteps }: { subSteps: Steps }) =>
  Object.fromEntries(subSteps.map(({ taskId, toolArguments }) => [taskId, toolArguments]))

const write = (id: string, content: unknown, dependencies: string[] = []) => ({
  id,
  tool: 'writeFile',
  params: { path: `${id}.md`, content },
  dependencies,
})

/** `fetchPage` does this instead. @returns what it was called with each time */
function replaceFetchPage(run: (use: ToolUse, nth: number) => Promise<unknown>) {
  const calls: { input: unknown; idempotencyKey: string }[] = []
  const spy = vi.spyOn(fetchPage, 'run').mockImplementation((input, use) => {
    calls.push({ input, idempotencyKey: use.idempotencyKey })
    return run(use, calls.length)
  })
  onTestFinished(() => spy.mockRestore())
  return calls
}

test('a sub-step tells what exactly its tool was called with: references are filled in', async () => {
  const { acme } = await office()
  const definition = planOf([
    write('a', 'hello'),
    write('b', 'wrote {{tasks.a.result.path}} of {{tasks.a.result.sizeBytes}} bytes', ['a']),
    write('c', { whole: '{{tasks.a.result}}', deep: ['{{tasks.b.result.path}}'] }, ['a', 'b']),
    { id: 'd', prompt: 'no tool' },
  ])
  const execution = await acme.runDefinition(definition)
  expect(argumentsOf(execution)).toEqual({
    a: { path: 'a.md', content: 'hello' },
    b: { path: 'b.md', content: 'wrote a.md of 5 bytes' },
    c: { path: 'c.md', content: { whole: { path: 'a.md', sizeBytes: 5 }, deep: ['b.md'] } },
    d: null,
  })
  expect(execution.subSteps[1].toolOrPromptParams.content).toBe(
    'wrote {{tasks.a.result.path}} of {{tasks.a.result.sizeBytes}} bytes',
  )
  const { body: listed } = await acme.get(`/executions/${execution.id}/sub-steps`)
  expect(listed.data).toEqual(execution.subSteps)
})

test('also when the call failed; nothing is told of a tool that was not called', async () => {
  const { acme } = await office()
  const { subSteps } = await acme.runDefinition(
    planOf([
      write('a', 'hello'),
      { id: 'failed', tool: 'readFile', params: { path: 'no {{tasks.a.result.path}}' }, dependencies: ['a'] },
      { id: 'unresolved', tool: 'readFile', params: { path: '{{tasks.a.result.nothing}}' }, dependencies: ['a'] },
      { id: 'badly', tool: 'readFile', params: { path: '{{tasks.a.result.sizeBytes}}' }, dependencies: ['a'] },
      { id: 'skipped', tool: 'readFile', params: { path: 'a.md' }, dependencies: ['failed'] },
    ]),
  )
  expect(subSteps.slice(1)).toMatchObject([
    { status: 'failed', error: { code: 'file_not_found' }, toolArguments: { path: 'no a.md' } },
    { status: 'failed', error: { code: 'unresolved_reference' }, toolArguments: null },
    { status: 'failed', error: { code: 'bad_parameters' }, toolArguments: null },
    { status: 'skipped', error: { code: 'dependency_failed' }, toolArguments: null },
  ])
})

test('after a retry they are those of the last call', async () => {
  const model = await heldModel(({ idempotencyKey }) => `answer to ${idempotencyKey?.slice(-3)}`)
  const { acme } = await office(model.env)
  const definition = planOf([{ id: 'a', prompt: 'a' }, write('b', '{{tasks.a.result}}', ['a'])])
  const before = await acme.runDefinition(definition)
  expect(argumentsOf(before).b).toEqual({ path: 'b.md', content: 'answer to a/0' })
  await acme.post(`/executions/${before.id}/sub-steps/${before.subSteps[0].id}/retry`)
  const after = await acme.ended(before.id)
  expect(argumentsOf(after).b).toEqual({ path: 'b.md', content: 'answer to a/1' })
})

test('a tool that acts outside is given the same key for each repetition, and another for a deliberate retry', async () => {
  const calls = replaceFetchPage(async ({ signal }, nth) => {
    if (nth === 1) throw new ToolError('page_error', 'Come again.', true)
    if (nth === 2) await new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    return { url: 'x', title: 'x', text: 'x' }
  })
  const { api, acme } = await office()
  const definition = planOf([{ id: 'a', tool: 'fetchPage', params: { url: 'https://example.com/{{x}}' } }])
  const { body } = await acme.post('/dags/execute-definition', { definition })
  await expect.poll(() => calls.length).toBe(2)
  await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
  await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/resume`)
  await acme.post(`/executions/${body.id}/resume`)
  const ended = await acme.ended(body.id)
  expect(ended.status).toBe('completed')
  await acme.post(`/executions/${body.id}/sub-steps/${ended.subSteps[0].id}/retry`)
  await acme.ended(body.id)

  const keys = ['a/0', 'a/0', 'a/0', 'a/1'].map((key) => `${body.id}/${key}`)
  expect(calls.map(({ idempotencyKey }) => idempotencyKey)).toEqual(keys)
  const rows = await api.api.stores.homes.use(acme.tenantId, (db) =>
    db.selectFrom('tool_calls').select(['idempotency_key', 'error_code', 'arguments']).orderBy('created_at').execute(),
  )
  expect(rows?.map((row) => row.idempotency_key)).toEqual(keys)
  expect(rows?.map((row) => row.error_code === null)).toEqual([false, false, true, true])
  expect(rows?.map((row) => JSON.parse(row.arguments))).toEqual(calls.map(({ input }) => input))
})

test('the record of its calls goes with a deleted execution', async () => {
  const { api, acme } = await office()
  const { id } = await acme.runDefinition(planOf([write('a', 'hello')]))
  const count = () =>
    api.api.stores.homes.use(
      acme.tenantId,
      async (db) => (await db.selectFrom('tool_calls').select('id').execute()).length,
    )
  expect(await count()).toBe(1)
  await acme.delete(`/executions/${id}`)
  expect(await count()).toBe(0)
})
