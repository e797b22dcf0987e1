import { expect, test } from 'vitest'
import { boundOf } from '#test/features/workflows/limited.ts'
import { heldModel } from '#test/support/held-model.ts'
import type { ModelCall } from '#test/support/openai-server.ts'
import { bootstrapDataDir, startServerProcess } from '#test/support/server-process.ts'
import { Caller } from './going-on.ts'

const CHAIN = ['a', 'b', 'c'].map((id, index, all) => ({ id, prompt: id, dependencies: all.slice(0, index) }))

test('kill -9 in the middle of a call: the lost call counts at the most it can have used, its step only once', async () => {
  const model = await heldModel()
  const { dataDir, apiKey } = bootstrapDataDir()
  const acme = new Caller(await startServerProcess(dataDir, model.env), apiKey)
  model.hold('b')
  const limits = { maxTokens: 100_000, maxSteps: 3, maxCostUsdMicros: 1_000_000, maxWallMs: 600_000 }
  const id = await acme.begin(CHAIN, { limits })
  await expect.poll(() => model.of('b').length, { timeout: 10_000 }).toBe(1)
  expect((await acme.details(id)).limitsUsed).toMatchObject({ tokens: 120, steps: 2 }) // what is in flight is not used yet
  await acme.server.kill()
  model.letGo('b')

  acme.server = await startServerProcess(dataDir, model.env)

  const { limitsUsed, totalUsage } = await acme.until(id, 'completed')
  expect(totalUsage.totalTokens).toBe(4 * 120)
  expect(limitsUsed).toMatchObject({ tokens: 4 * 120 + boundOf(model.of('b')[0] as ModelCall), steps: 3 })
  expect(limitsUsed.costUsdMicros).toBeGreaterThan(4 * 65 + 8_000)
}, 60_000)

test('kill -9 again and again never passes the limit: what may have been used is not used twice', async () => {
  const model = await heldModel()
  const { dataDir, apiKey } = bootstrapDataDir()
  const acme = new Caller(await startServerProcess(dataDir, model.env), apiKey)
  const brief = { name: 'inference', version: '9', systemPrompt: 'x', constraints: { maxTokens: 1_000 } }
  await acme.post(`/agents/${(await acme.post('/agents', brief)).body.id}/activate`)
  model.hold('b')
  // Room for `a`, which uses 120, and for `b` twice: it may use up to 1,200.
  const id = await acme.begin(CHAIN, { limits: { maxTokens: 2_700 } })
  for (let deaths = 1; deaths <= 2; deaths += 1) {
    await expect.poll(() => model.of('b').length, { timeout: 10_000 }).toBe(deaths)
    await acme.server.kill()
    acme.server = await startServerProcess(dataDir, model.env)
  }

  const suspended = await acme.until(id, 'suspended')
  expect(suspended.suspendedReason).toMatch(/^limit_reached: .*maxTokens/)
  const lost = model.of('b').map(boundOf)
  expect(lost).toHaveLength(2)
  expect(suspended.limitsUsed.tokens).toBe(120 + lost.reduce((sum, bound) => sum + bound, 0))
  expect(suspended.limitsUsed.tokens).toBeLessThanOrEqual(2_700)

  model.letGo('b')
  await acme.post(`/executions/${id}/resume`, { limits: { maxTokens: 50_000 } })
  expect(await acme.until(id, 'completed')).toMatchObject({ completedTasks: 3 })
  expect(model.of('a')).toHaveLength(1)
}, 90_000)
