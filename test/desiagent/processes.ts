import { onTestFinished } from 'vitest'
import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgent, type DesiAgentParts } from '#desiagent/index.ts'
import { Models } from '#desiagent/models/registry.ts'
import type { ControlDb, ControlTables } from '#kit/db/control-tables.ts'
import { directoryOf } from '#kit/db/directory.ts'
import { migrate } from '#kit/db/migrate.ts'
import { openSqlite } from '#kit/db/sqlite/dialect.ts'
import { controlMigrations } from '#migrations/control/index.ts'
import { betterSqliteBackend } from '#platform/node/sqlite/backend.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { embeddedParts } from './embedded-parts.ts'

/**
 * Processes that share a tenant's database and the control database, each with a desiAgent and a key of its own; the
 * model answers each when told to.
 */
export async function processes(count: number, { leaseMs = 30_000, answer }: Options) {
  const gates = Array.from({ length: count }, () => Promise.withResolvers<void>())
  const model = await openAiServer(async (call): Promise<Reply> => {
    const reply = answer(call)
    if (reply !== null) return reply
    await gates[Number(call.authorization?.at(-1))]?.promise
    return answer(call, true) ?? 'hang!'
  })
  const control = await openControl()
  const parts = await embeddedParts()
  const modelsOf = (n: number) =>
    new Models({ defaultProvider: 'openai', providers: { openai: { apiKey: `sk-${n}`, baseUrl: model.url } } })
  const settings = { ...parts.shared.settings, leaseMs, isSoleProcess: false }
  const clock = { aheadMs: 0 }
  const now = () => new Date(Date.now() + clock.aheadMs)
  const one = (n: number): DesiAgentParts => ({
    ...parts,
    directory: directoryOf(control, parts.tenantId),
    shared: { ...parts.shared, models: modelsOf(n), settings, now, running: new RunningExecutions(`process ${n}`) },
  })
  const letGo = (n?: number) => {
    for (const gate of n === undefined ? gates : gates.slice(n, n + 1)) gate.resolve()
  }
  const desis: DesiAgent[] = Array.from({ length: count }, (_, n) => createDesiAgent(one(n)))
  return { model, clock, now, letGo, desis, control, db: parts.db, tenantId: parts.tenantId }
}

interface Options {
  leaseMs?: number
  /** Null: not before the process is let go. */
  answer: (call: ModelCall, isLetGo?: true) => Reply | null
}

async function openControl(): Promise<ControlDb> {
  const control = openSqlite<ControlTables>(betterSqliteBackend(':memory:', 'NORMAL'))
  await migrate(control as never, controlMigrations)
  onTestFinished(() => control.destroy())
  return control
}
