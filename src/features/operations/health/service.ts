import { VERSION } from '#kit/version.ts'
import type { Log } from '#ports/log.ts'
import type { Readiness } from './contract.ts'
import type { Dependencies, Dependency } from './dependencies.ts'

/** What health is judged by; each home of the product gives its own. */
export interface Vitals {
  startedAtMs: number
  now(): Date
  model: { provider: string; model: string }
  dependencies: Record<string, Dependency>
  scheduler(): { runningExecutions: number; queuedExecutions: number }
  log: Log
}

export function getHealth(vitals: Vitals) {
  const now = vitals.now()
  const uptime = Math.round((now.getTime() - vitals.startedAtMs) / 100) / 10
  return { status: 'ok' as const, version: VERSION, uptime, timestamp: now.toISOString() }
}

export async function getReadiness(vitals: Vitals, dependencies: Dependencies): Promise<Readiness> {
  const { states, status } = await dependencies.ask()
  return {
    ...getHealth(vitals),
    status,
    dependencies: states,
    ...vitals.model,
    scheduler: vitals.scheduler(),
  }
}
