import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'

const PLAN = planOf([{ id: '1', prompt: 'x' }])

/** As they stand in the tenant's database, because a server that has stopped is asked no more. */
function promptTokens({ dataDir }: TestApi, tenantId: string) {
  const db = new Database(`${dataDir}/tenants/${tenantId}/agent.db`, { readonly: true })
  const sum = (sql: string) => db.prepare(sql).pluck().get()
  const ledger = sum('select sum(prompt_tokens) from model_calls')
  const usage = sum("select sum(quantity) from usage_records where resource_type = 'prompt_tokens'")
  db.close()
  return { ledger, usage }
}

test.each(['cancel', 'suspend', 'stop'] as const)(
  'a call whose repeat is waited for is booked once, when a %s comes in between',
  async (interruption) => {
    const model = await openAiServer(() => ({ text: ' ', usage: { prompt_tokens: 1_000, completion_tokens: 1 } }))
    const api = await startApi({ env: model.env, overrides: { engine: { retryBaseMs: 60_000 } } })
    const acme = await api.tenant('acme')
    const { body } = await acme.post('/dags/execute-definition', { definition: PLAN })
    await expect.poll(async () => (await acme.get('/costs/summary')).body.totals.calls).toBe(1)

    if (interruption === 'cancel') await acme.post(`/executions/${body.id}/cancel`)
    if (interruption === 'suspend') {
      await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/suspend`)
      await api.superAdmin.post(`/admin/tenants/${acme.tenantId}/resume`)
    }
    await api.api.drain(0)

    expect(model.calls).toHaveLength(1)
    expect(promptTokens(api, acme.tenantId)).toEqual({ ledger: 1_000, usage: 1_000 })
  },
)

test('the pause before a repeat is not charged as compute time', async () => {
  let isFirst = true
  const model = await openAiServer(() => {
    if (!isFirst) return 'done'
    isFirst = false
    return { status: 429, headers: { 'retry-after': '2' } }
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')

  const execution = await acme.runDefinition(PLAN)

  const { data } = (await acme.get(`/billing/usage/history?executionId=${execution.id}&resourceType=compute_ms`)).body
  const charged = data.reduce((sum: number, { quantity }: { quantity: number }) => sum + quantity, 0)
  expect(execution.subSteps[0].durationMs).toBeGreaterThanOrEqual(2_000) // what it took
  expect(charged).toBeLessThan(execution.subSteps[0].durationMs - 1_900) // what we did
})
