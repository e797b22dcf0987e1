import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const PLAN = JSON.stringify(planOf([{ id: '1', prompt: 'x' }]))
const QUESTION = JSON.stringify(
  planOf([], { clarification_needed: true, clarification_query: 'Which text?', sub_tasks: [] }),
)

const setQuotas = (api: TestApi, { tenantId }: { tenantId: string }, quotas: object) =>
  api.superAdmin.patch(`/admin/tenants/${tenantId}`, { quotas })

describe('a plan that was paid for', () => {
  test('is not lost when nothing is left to ask for its title with', async () => {
    const model = await openAiServer(() => ({ text: PLAN, usage: { prompt_tokens: 50_000, completion_tokens: 500 } }))
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 50_000 } })

    const { status, body } = await acme.post('/dags', { goalText: 'Do what is to be done' })

    expect([status, body.status, body.dag.dagTitle]).toEqual([201, 'success', 'Do what is to be done'])
    expect(model.calls.map(({ task }) => task)).toEqual(['plan'])
  })

  test('is kept when there is no room left to execute it', async () => {
    const api = await startApi({ env: (await openAiServer(async () => PLAN)).env })
    const acme = await api.tenant('acme', { quotas: { maxExecutionsPerMonth: 1 } })
    const answers = await Promise.all(['a', 'b', 'c'].map((goalText) => acme.post('/create-execute', { goalText })))

    const refused = answers.filter(({ status }) => status === 403)
    expect(refused).toHaveLength(2)
    expect(answers.filter(({ status }) => status === 202)).toHaveLength(1)
    for (const { body } of refused) {
      expect(body).toMatchObject({ code: 'quota_exceeded', details: { quota: 'maxExecutionsPerMonth' } })
    }
    expect(await statuses(acme)).toEqual(['success', 'success', 'success'])
    await setQuotas(api, acme, {})
    const { data } = (await acme.get('/dags')).body
    for (const { id } of data) expect((await acme.post(`/dags/${id}/execute`)).status).toBe(202)
  })
})

const statuses = async (client: Client) =>
  (await client.get('/dags')).body.data.map(({ status }: { status: string }) => status)

describe('the answer to a planner’s question', () => {
  test('can be given again when a quota refused it', async () => {
    const model = await openAiServer(({ messages }) =>
      messages.join('').includes('<clarification>') ? PLAN : QUESTION,
    )
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme')
    const { body: asked } = await acme.post('/dags', { goalText: 'Count it' })
    expect(asked.status).toBe('clarification_required')
    const answer = () => acme.post(`/dags/${asked.dagId}/resume-clarification`, { userResponse: '"a b"' })
    await setQuotas(api, acme, { maxTokensPerMonth: 1 })

    expect((await answer()).body.code).toBe('quota_exceeded')
    expect((await acme.get(`/dags/${asked.dagId}`)).body.status).toBe('clarification_required')
    await setQuotas(api, acme, {})
    expect((await answer()).status).toBe(201)
  })

  test('can be given again when the quota ran out in the middle of planning', async () => {
    const model = await openAiServer(({ messages }) => ({
      text: messages.join('').includes('<clarification>') ? '{"no":"plan"}' : QUESTION,
      usage: { prompt_tokens: 20_000, completion_tokens: 10 },
    }))
    const api = await startApi({ env: model.env })
    const acme = await api.tenant('acme', { quotas: { maxTokensPerMonth: 40_000 } })
    const { body: asked } = await acme.post('/dags', { goalText: 'Count it' })

    const refused = await acme.post(`/dags/${asked.dagId}/resume-clarification`, { userResponse: '"a b"' })

    expect([refused.status, refused.body.code]).toEqual([403, 'quota_exceeded'])
    const { body: dag } = await acme.get(`/dags/${asked.dagId}`)
    expect([dag.status, dag.clarificationQuery]).toEqual(['clarification_required', 'Which text?'])
    expect(dag.planning.attempts.length).toBeGreaterThan(1)
  })
})
