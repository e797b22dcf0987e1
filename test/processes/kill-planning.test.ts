import { once } from 'node:events'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { spawnServer } from '#test/support/server-child.ts'
import { bootstrapDataDir, type ServerProcess, startServerProcess } from '#test/support/server-process.ts'

const GOOD = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))
const REPEATABLE = { 'idempotency-key': 'create this once' }

/** The first answer is no plan, and while the server is asked again it is killed. */
async function killedWhilePlanning() {
  let isHanging = true
  const model = await openAiServer(({ task, messages }) => {
    if (task !== 'plan') return 'ok'
    if (!isHanging) return GOOD
    return messages.length === 1 ? 'no plan' : 'hang!'
  })
  const data = bootstrapDataDir()
  const first = await startServerProcess(data.dataDir, model.env)
  create(first, data.apiKey).catch(() => {})
  await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(2)
  await first.kill()
  isHanging = false
  return { ...data, model }
}

async function create(server: ServerProcess, apiKey: string) {
  const headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json', ...REPEATABLE }
  const body = JSON.stringify({ goalText: 'do something' })
  const response = await fetch(`${server.url}/api/v2/create-execute`, { method: 'POST', headers, body })
  return { status: response.status, body: (await response.json()) as { status: string; dagId: string } }
}

/** Starts a server and kills it before it says that it listens: somewhere in its recovery, or before, or after. */
async function startAndKill(dataDir: string, env: Record<string, string>, afterMs: number): Promise<void> {
  const child = spawnServer(dataDir, env, 'ignore')
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  await new Promise((resolve) => setTimeout(resolve, afterMs))
  child.kill('SIGKILL')
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit')
}

function tenantFile(dataDir: string, tenantId: string) {
  const db = new Database(`${dataDir}/tenants/${tenantId}/agent.db`)
  onTestFinished(() => {
    db.close()
  })
  return db
}

test.each([
  ['once', []],
  ['again and again during recovery', [150, 250, 300, 350, 400, 450, 550]],
])(
  'killed %s, a goal that was being planned is interrupted, what its calls cost is kept, and a repeat plans it anew',
  async (_, kills) => {
    const { dataDir, apiKey, model } = await killedWhilePlanning()
    for (const afterMs of kills) await startAndKill(dataDir, model.env, afterMs)

    const server = await startServerProcess(dataDir, model.env)

    const { body: found } = await server.call(apiKey, 'GET', '/dags')
    expect(found.data).toHaveLength(1)
    const [dag] = found.data
    expect(dag).toMatchObject({ status: 'failed', error: { code: 'interrupted' }, plan: null })
    expect(dag.planning.attempts).toHaveLength(1)
    expect((await server.call(apiKey, 'GET', `/costs/dags/${dag.id}`)).body.planning.usage.totalTokens).toBe(120)
    expect((await server.call(apiKey, 'GET', '/executions')).body.data).toEqual([])

    const tenantId = (await server.call(apiKey, 'GET', '/auth/me')).body.tenant.id
    // As half a minute later: until then the repeat might meet a process that is still at it.
    tenantFile(dataDir, tenantId).exec("update idempotency_keys set lease_until = '2020-01-01T00:00:00.000Z'")
    const again = await create(server, apiKey)
    expect(again).toMatchObject({ status: 202, body: { status: 'executing' } })
    expect(again.body.dagId).not.toBe(dag.id)
    expect((await create(server, apiKey)).body).toMatchObject({ dagId: again.body.dagId })
  },
  60_000,
)
