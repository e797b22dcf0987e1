import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { ExecutionLimits } from '#desiagent/limits.ts'
import { priceOf } from '#desiagent/models/prices.ts'
import { type CaseSketch, planOfCase, randomCase, scriptOf } from '#test/support/misfortunes.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { answerBoundOf, promptTokensAtMost, usedInLedger } from './limited.ts'

/** What the provider really counted for a case, also where it could not say so. */
interface Truth {
  tokens: number
  costUsdMicros: number
}

const randomLimits: fc.Arbitrary<ExecutionLimits> = fc
  .record({
    maxTokens: fc.option(fc.oneof(fc.integer({ min: 400, max: 4_000 }), fc.integer({ min: 4_000, max: 60_000 }))),
    maxCostUsdMicros: fc.option(
      fc.oneof(fc.integer({ min: 100, max: 5_000 }), fc.integer({ min: 5_000, max: 90_000 })),
    ),
    maxSteps: fc.option(fc.integer({ min: 1, max: 9 }), { freq: 2 }),
    maxWallMs: fc.oneof(
      { weight: 9, arbitrary: fc.constant(null) },
      { weight: 1, arbitrary: fc.integer({ min: 1, max: 200 }) },
    ),
  })
  .map((wished) => Object.fromEntries(Object.entries(wished).filter(([, value]) => value !== null)))

/** Then the calls in flight have to share what is left. */
function allAtOnce(sketch: CaseSketch): CaseSketch {
  return { ...sketch, steps: sketch.steps.map((step) => ({ ...step, after: [] })) }
}

const randomWork = fc.record({
  sketch: fc.oneof(randomCase, randomCase.map(allAtOnce)),
  /** The first ones at the beginning, each of the others in a resume. */
  limits: fc.array(randomLimits, { minLength: 1, maxLength: 3 }),
})

/** Without limits nobody tells what counts against them. */
const UNKNOWN = {
  tokens: Number.POSITIVE_INFINITY,
  costUsdMicros: Number.POSITIVE_INFINITY,
  steps: Number.POSITIVE_INFINITY,
}

/** Answers as the sketches say, at lengths up to what is allowed, and keeps what was really used. */
function greedy(script: (call: ModelCall) => Reply, truths: Map<string, Truth>): (call: ModelCall) => Reply {
  let answers = 0
  const use = (call: ModelCall, promptTokens: number, completionTokens: number) => {
    const [name = ''] = /case-\d+/.exec(call.messages.join('\n')) ?? []
    const usage = { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens, cachedTokens: 0 }
    const { tokens, costUsdMicros } = truths.get(name) ?? { tokens: 0, costUsdMicros: 0 }
    const cost = priceOf('openai', String(call.body.model), usage) ?? 0
    truths.set(name, { tokens: tokens + usage.totalTokens, costUsdMicros: costUsdMicros + cost })
  }
  return (call) => {
    const reply = script(call)
    if (typeof reply === 'object' && 'status' in reply) return reply // refused: nothing was counted
    answers += 1
    const promptTokens = promptTokensAtMost(call) - (answers % 4) * 10
    const longest = Math.min(answerBoundOf(call), 16_384)
    if (typeof reply === 'string') {
      use(call, promptTokens, longest)
      return reply
    }
    const wanted = [300, 1_500, 5_000][answers % 3] as number
    const completionTokens = Math.min(wanted, longest)
    use(call, promptTokens, completionTokens)
    const finishReason = completionTokens < wanted ? 'length' : 'stop'
    return { ...reply, finishReason, usage: { prompt_tokens: promptTokens, completion_tokens: completionTokens } }
  }
}

type Tenant = Awaited<ReturnType<TestApi['tenant']>>

async function openOffice(api: TestApi, slug: string): Promise<Tenant> {
  const tenant = await api.tenant(slug)
  const own = { name: 'own', version: '1', systemPrompt: 'You answer.', provider: 'openai', model: 'our-own-model' }
  const { body: agent } = await tenant.post('/agents', own)
  await tenant.post(`/agents/${agent.id}/activate`)
  return tenant
}

/** @returns its id, or null when it was refused */
async function start(
  tenant: Tenant,
  name: string,
  sketch: CaseSketch,
  limits: ExecutionLimits,
): Promise<string | null> {
  const model = sketch.model === undefined ? {} : { provider: 'openai', model: sketch.model }
  const { status, body } =
    sketch.way === 'planned'
      ? await tenant.post('/create-execute', { goalText: `goal of ${name}`, ...model, limits })
      : await tenant.post('/dags/execute-definition', { definition: planOfCase(name, sketch), ...model, limits })
  expect([202, 422, 502], JSON.stringify(body)).toContain(status)
  return status === 202 ? (body.executionId ?? body.id) : null
}

test('no limit is ever passed, whatever the plan, whatever befalls its calls, however often it is resumed', async () => {
  const cases = new Map<string, CaseSketch>()
  const truths = new Map<string, Truth>()
  const model = await openAiServer(greedy(scriptOf(cases), truths))
  const api = await startApi({ env: model.env })

  await fc.assert(
    fc.asyncProperty(randomWork, async ({ sketch, limits: [first = {}, ...later] }) => {
      const name = `case-${cases.size}`
      cases.set(name, sketch)
      const tenant = await openOffice(api, name)
      const truth = () => truths.get(name) ?? { tokens: 0, costUsdMicros: 0 }
      const id = await start(tenant, name, sketch, first)
      const { maxTokens = Number.POSITIVE_INFINITY, maxCostUsdMicros = Number.POSITIVE_INFINITY } = first
      expect(truth().tokens).toBeLessThanOrEqual(maxTokens)
      expect(truth().costUsdMicros).toBeLessThanOrEqual(maxCostUsdMicros)
      if (id === null) return

      const nothing = { tokens: 0, costUsdMicros: 0, steps: 0 }
      let before = { used: nothing, really: nothing }
      for (const limits of [first, ...later]) {
        if (limits !== first && (await tenant.post(`/executions/${id}/resume`, { limits })).status !== 202) return
        const execution = await tenant.ended(id)
        const events = await tenant.events(id)
        const steps = events.filter(({ event }) => event === 'execution:task_started').length
        const really = { ...truth(), steps }
        const { limitsUsed: used } = execution
        for (const [limit, unit] of [
          ['maxTokens', 'tokens'],
          ['maxCostUsdMicros', 'costUsdMicros'],
          ['maxSteps', 'steps'],
        ] as const) {
          const [most = Number.POSITIVE_INFINITY, what] = [limits[limit], `${limit} of ${JSON.stringify(limits)}`]
          expect(really[unit], what).toBeLessThanOrEqual(Math.max(before.really[unit], most))
          if (!used) continue
          expect(used[unit], what).toBeLessThanOrEqual(Math.max(before.used[unit], most))
          expect(used[unit], what).toBeGreaterThanOrEqual(really[unit])
        }
        if (used) {
          expect(used.steps).toBe(steps)
          expect(used.tokens).toBeGreaterThanOrEqual(usedInLedger(api, tenant).tokens)
        }
        before = { used: used ?? UNKNOWN, really }
      }
    }),
    { numRuns: 40, verbose: true },
  )
}, 120_000)
