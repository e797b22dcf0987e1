import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { seedAgents } from '#desiagent/agents.ts'
import { LiveAnswers } from '#desiagent/executor/live-answers.ts'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import { type DesiAgentParts, NO_METERING } from '#desiagent/index.ts'
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
export async function embeddedParts(): Promise<DesiAgentParts> {
  const db = openSqlite<TenantTables>(betterSqliteBackend(':memory:', 'NORMAL'))
  await migrate(db as never, tenantMigrations)
  const now = () => new Date()
  const wake = localWake()
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
      turns: { isPlaceWanted: () => false },
      experimentQueue: { push() {} },
      wake,
      liveAnswers: new LiveAnswers(wake),
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
