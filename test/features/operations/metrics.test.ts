import { expect, test } from 'vitest'
import { promMetrics } from '#platform/node/prom-metrics.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { readExposition, type Sample } from './exposition.ts'

async function scrape(api: TestApi) {
  const response = await api.superAdmin.raw('/metrics')
  expect(response.status).toBe(200)
  const text = await response.text()
  const families = readExposition(text)
  const samples = [...families.values()].flatMap((family) => family.samples)
  const fits = (sample: Sample, name: string, labels: Record<string, string>) =>
    sample.name === name && Object.entries(labels).every(([key, value]) => sample.labels[key] === value)
  return {
    text,
    families,
    contentType: response.headers.get('content-type'),
    find: (name: string, labels: Record<string, string> = {}) => samples.filter((s) => fits(s, name, labels)),
    value: (name: string, labels: Record<string, string> = {}) =>
      samples.filter((s) => fits(s, name, labels)).reduce((sum, { value }) => sum + value, 0),
  }
}

const ONE_STEP = planOf([{ id: '1' }])

test('only the super admin reads the metrics', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')

  const answers = await Promise.all([api.client(null).raw('/metrics'), acme.raw('/metrics')])

  expect(answers.map(({ status }) => status)).toEqual([401, 403])
  for (const answer of answers) expect(await answer.text()).not.toContain('desi_http')
  expect((await api.superAdmin.raw('/api/v2/metrics')).status).toBe(404)
})

test('they are in the text format 0.0.4: every metric has its help, its type and its lines', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await acme.runDefinition(ONE_STEP)

  const { contentType, families } = await scrape(api)

  expect(contentType).toBe('text/plain; version=0.0.4; charset=utf-8')
  const types = Object.fromEntries([...families].map(([name, { type }]) => [name, type]))
  expect(types).toEqual({
    desi_http_request_duration_seconds: 'histogram',
    desi_executions_total: 'counter',
    desi_executions_running: 'gauge',
    desi_executions_queued: 'gauge',
    desi_open_tenants: 'gauge',
    desi_open_streams: 'gauge',
    desi_model_calls_total: 'counter',
    desi_model_call_duration_seconds: 'histogram',
    desi_tokens_total: 'counter',
    process_start_time_seconds: 'gauge',
    process_resident_memory_bytes: 'gauge',
    nodejs_heap_used_bytes: 'gauge',
    process_cpu_seconds_total: 'counter',
  })
  for (const { help, samples } of families.values()) {
    expect(help).toMatch(/^[A-Z].*\.$/)
    expect(samples.length).toBeGreaterThan(0)
  }
})

test('a histogram counts in cumulative buckets that end with all of its observations', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  for (let call = 0; call < 7; call += 1) await acme.get('/agents')

  const { find, value } = await scrape(api)

  const of = { route: 'listAgents', method: 'GET', status: '200' }
  const buckets = find('desi_http_request_duration_seconds_bucket', of).map(({ labels, value: n }) => [labels.le, n])
  expect(buckets.map(([, n]) => n)).toEqual(buckets.map(([, n]) => n as number).toSorted((a, b) => a - b))
  expect(buckets.at(-1)).toEqual(['+Inf', 7])
  expect(value('desi_http_request_duration_seconds_count', of)).toBe(7)
  expect(value('desi_http_request_duration_seconds_sum', of)).toBeGreaterThan(0)
})

test('requests are counted by operation, method and status; what leads nowhere is one operation', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  await acme.get(`/agents/${crypto.randomUUID()}`)
  await acme.get(`/agents/${crypto.randomUUID()}`)
  await api.client('garbage').get('/agents')
  for (let i = 0; i < 20; i += 1) await acme.get(`/nowhere/${crypto.randomUUID()}`)
  await acme.raw('/api/v2/agents', { method: 'PROPFIND' })
  await acme.raw('/api/v2/agents', { method: 'X-MINE' })

  const { find, value } = await scrape(api)

  const count = (labels: Record<string, string>) => value('desi_http_request_duration_seconds_count', labels)
  expect(count({ route: 'getAgent', method: 'GET', status: '404' })).toBe(2)
  expect(count({ route: 'listAgents', status: '401' })).toBe(1)
  expect(count({ route: 'unmatched', method: 'GET', status: '404' })).toBe(20)
  expect(find('desi_http_request_duration_seconds_count', { route: 'unmatched', method: 'GET' })).toHaveLength(1)
  expect(count({ route: 'unmatched', method: 'OTHER' })).toBe(2)
  const methods = new Set(find('desi_http_request_duration_seconds_count').map(({ labels }) => labels.method))
  expect([...methods].toSorted()).toEqual(['GET', 'OTHER', 'POST'])
})

test('executions, model calls and their tokens are counted as they happen', async () => {
  const model = await openAiServer(() => ({
    text: 'ok',
    usage: { prompt_tokens: 100, completion_tokens: 20, cached_tokens: 10 },
  }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  await acme.runDefinition(ONE_STEP)

  const first = await scrape(api)
  await acme.runDefinition(ONE_STEP)
  const second = await scrape(api)

  const of = { provider: 'openai', model: 'gpt-5-mini' }
  for (const [times, { value }] of [first, second].entries()) {
    const runs = times + 1
    expect(value('desi_executions_total', { status: 'pending' })).toBe(runs)
    expect(value('desi_executions_total', { status: 'completed' })).toBe(runs)
    // The step and the synthesis.
    expect(value('desi_model_calls_total', { ...of, outcome: 'ok' })).toBe(2 * runs)
    expect(value('desi_model_call_duration_seconds_count', of)).toBe(2 * runs)
    expect(value('desi_tokens_total', { ...of, kind: 'prompt' })).toBe(200 * runs)
    expect(value('desi_tokens_total', { ...of, kind: 'completion' })).toBe(40 * runs)
    expect(value('desi_tokens_total', { ...of, kind: 'cached' })).toBe(20 * runs)
  }
})

test('a model call that fails is counted by what went wrong, and so is the execution', async () => {
  const model = await openAiServer(() => ({ status: 401 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  await acme.runDefinition(ONE_STEP)

  const { value } = await scrape(api)

  expect(value('desi_model_calls_total', { outcome: 'key_refused' })).toBe(1)
  expect(value('desi_model_calls_total', { outcome: 'ok' })).toBe(0)
  expect(value('desi_executions_total', { status: 'suspended' })).toBe(1)
})

test('what is open and under way is read at the moment of the scrape', async () => {
  const gate = Promise.withResolvers<string>()
  const model = await openAiServer(() => gate.promise)
  const api = await startApi({ env: { ...model.env, MAX_CONCURRENT_EXECUTIONS: '1' } })
  const acme = await api.tenant('acme')
  const started = await Promise.all(
    [1, 2, 3].map(() => acme.post('/dags/execute-definition', { definition: ONE_STEP })),
  )
  await expect.poll(() => model.calls.length).toBe(1)
  const streaming = started.map(({ body }) => acme.events(body.id))
  const open = async () => {
    const { value } = await scrape(api)
    return [value('desi_executions_running'), value('desi_executions_queued'), value('desi_open_streams')]
  }
  await expect.poll(open).toEqual([1, 2, 3])

  gate.resolve('ok')
  await Promise.all(streaming)

  await expect.poll(open).toEqual([0, 0, 0])
  const { value } = await scrape(api)
  expect(value('desi_open_tenants')).toBe(1)
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(10_000_000)
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0)
})

test('300 models of made-up names are one series, and so are those that only look like known ones', async () => {
  const model = await openAiServer(() => 'ok')
  const api = await startApi({ env: { ...model.env, ANTHROPIC_API_KEY: 'sk-ant', ANTHROPIC_BASE_URL: model.url } })
  const acme = await api.tenant('acme')
  const names = [
    ...Array.from({ length: 300 }, (_, i) => `gpt-of-tenant-${i}`),
    ...Array.from({ length: 20 }, (_, i) => `gpt-5-mini-${i}"}\n`),
  ]
  const halves = [names.slice(0, 160), names.slice(160)] // a tenant may have 200 streams open
  for (const half of halves) await Promise.all(half.map((name) => acme.runDefinition(ONE_STEP, { model: name })))
  // The price list takes any date behind this one's name.
  const dated = Array.from({ length: 20 }, (_, i) => `claude-haiku-4-5-2099${i}`)
  await Promise.all(dated.map((name) => acme.runDefinition(ONE_STEP, { provider: 'anthropic', model: name })))
  await acme.runDefinition(ONE_STEP, { model: 'gpt-4o' })

  const { find, text } = await scrape(api)

  const series = find('desi_model_call_duration_seconds_count').map(({ labels }) => labels)
  expect(series).toHaveLength(3)
  expect(series).toEqual(
    expect.arrayContaining([
      { provider: 'openai', model: 'other' },
      { provider: 'openai', model: 'gpt-4o' },
      { provider: 'anthropic', model: 'claude-haiku-4-5' },
    ]),
  )
  expect(text).not.toContain('tenant-')
}, 120_000)

test('the operator’s own default model is named even when it has no price', async () => {
  const model = await openAiServer(() => 'ok')
  const api = await startApi({ env: { ...model.env, LLM_MODEL: 'our-own-7b' } })
  const acme = await api.tenant('acme')
  await acme.runDefinition(ONE_STEP)

  const { value } = await scrape(api)

  expect(value('desi_model_calls_total', { model: 'our-own-7b' })).toBe(2)
})

test('nothing in them tells one tenant from another', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme-unmistakable')
  const { body: agent } = await acme.post('/agents', { name: 'secretive', version: '1', systemPrompt: 'hush' })
  const { body: key } = await acme.post('/auth/api-keys', { name: 'second', scopes: ['read'] })
  const execution = await acme.runDefinition(ONE_STEP)
  await acme.get(`/agents/${agent.id}`)
  await acme.get(`/nowhere/${acme.tenantId}`)

  const { text } = await scrape(api)

  const ours = [acme.tenantId, acme.userId, acme.key, key.key, key.id, agent.id, execution.id, api.superAdmin.key]
  for (const told of [...ours, 'acme', 'unmistakable', 'secretive', '@', 'desi_sk_']) expect(text).not.toContain(told)
})

test('two applications in one process count apart', async () => {
  const [one, other] = [await startApi(), await startApi()]
  const acme = await one.tenant('acme')
  await acme.runDefinition(ONE_STEP)

  expect((await scrape(one)).value('desi_executions_total', { status: 'completed' })).toBe(1)
  expect((await scrape(other)).value('desi_executions_total')).toBe(0)
})

test('a model call with figures no counter takes is counted all the same, and harms nobody', async () => {
  const metrics = promMetrics({ modelLabel: () => 'other', gauges: {} })
  for (const strange of [-5, Number.NaN, Number.POSITIVE_INFINITY, 7]) {
    const figures = { seconds: strange, promptTokens: strange, completionTokens: strange, cachedTokens: strange }
    metrics.modelCall({ provider: 'openai', model: 'm', outcome: 'ok', ...figures })
  }

  const families = readExposition(await metrics.exposition())

  const values = (name: string) => families.get(name)?.samples.map(({ value }) => value)
  expect(values('desi_model_calls_total')).toEqual([4])
  expect(values('desi_tokens_total')).toEqual([7, 7, 7])
})
