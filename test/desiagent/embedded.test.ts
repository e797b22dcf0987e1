import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { seedAgents } from '#desiagent/agents.ts'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgentParts, NO_METERING } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import { migrate } from '#kit/db/migrate.ts'
import { openSqlite } from '#kit/db/sqlite/dialect.ts'
import type { TenantTables } from '#kit/db/tenant-tables.ts'
import { newId } from '#kit/ids.ts'
import { localWake } from '#kit/local-wake.ts'
import { NO_METRICS } from '#kit/no-metrics.ts'
import { tenantMigrations } from '#migrations/tenant/index.ts'
import { diskBlobs } from '#platform/node/disk-blobs.ts'
import { betterSqliteBackend } from '#platform/node/sqlite/backend.ts'

const nothing = async () => {}
const quiet = { debug() {}, info() {}, warn() {}, error() {} }

/** The library over a database in memory, with nothing of the API around it. */
async function embeddedParts(): Promise<DesiAgentParts> {
  const db = openSqlite<TenantTables>(betterSqliteBackend(':memory:', 'NORMAL'))
  await migrate(db as never, tenantMigrations)
  const now = () => new Date()
  await seedAgents(db, newId, now())
  const folder = mkdtempSync(join(tmpdir(), 'desi-embedded-'))
  onTestFinished(async () => {
    await db.destroy()
    rmSync(folder, { recursive: true, force: true })
  })
  return {
    tenantId: 'embedded',
    db,
    directory: { registerKey: nothing, removeKey: nothing, putDueWork: nothing, removeDueWork: nothing },
    shared: {
      models: new Models({ defaultProvider: 'offline', providers: {} }),
      blobs: diskBlobs(folder),
      queue: { push() {} },
      wake: localWake(),
      fetch: () => Promise.reject(new Error('no network here')),
      running: new RunningExecutions(newId()),
      metering: NO_METERING,
      metrics: NO_METRICS,
      settings: {
        maxParallelSubSteps: 4,
        stepTimeoutMs: 5_000,
        maxAttempts: 3,
        retryBaseMs: 5,
        leaseMs: 30_000,
        isSoleProcess: true,
      },
      log: quiet,
      now,
      newId,
    },
  }
}

test('desiAgent plans, runs and answers without the API', async () => {
  const desi = createDesiAgent(await embeddedParts())

  const dag = await desi.dags.create({
    goalText: 'Summarise notes.md',
    inputs: [{ name: 'notes.md', content: 'We ship on Friday. Anna books the room.' }],
  })
  const { executionId } = await desi.dags.execute(dag.id)
  await desi.executions.run(executionId)

  expect(await desi.executions.get(executionId)).toMatchObject({
    status: 'completed',
    finalResult: expect.stringContaining('Friday'),
  })
  expect((await desi.costs.execution(executionId)).totals.grandTotalCostUsdMicros).toBe(0)
  expect(desi.tools.list().map(({ name }) => name)).toEqual(['fetchPage', 'llmExecute', 'readFile', 'writeFile'])
})
