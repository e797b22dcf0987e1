import { VERSION } from '#kit/version.ts'
import type { Readiness } from './contract.ts'

/** What health is judged by; each home of the product gives its own. */
export interface Vitals {
  startedAtMs: number
  now(): Date
  model: { provider: string; model: string }
  /** Each resolves when the dependency works and rejects when it does not. */
  dependencies: Record<string, () => Promise<unknown>>
  scheduler(): { runningExecutions: number; queuedExecutions: number }
}

const CHECK_LIMIT_MS = 2_000

export function getHealth(vitals: Vitals) {
  const now = vitals.now()
  const uptime = Math.round((now.getTime() - vitals.startedAtMs) / 100) / 10
  return { status: 'ok' as const, version: VERSION, uptime, timestamp: now.toISOString() }
}

/** Asks each dependency, all at once, each for at most two seconds. */
export async function getReadiness(vitals: Vitals): Promise<Readiness> {
  const checked = await Promise.all(
    Object.entries(vitals.dependencies).map(
      async ([name, check]) => [name, (await works(check)) ? 'ok' : 'failed'] as const,
    ),
  )
  const isReady = checked.every(([, state]) => state === 'ok')
  return {
    ...getHealth(vitals),
    status: isReady ? 'ready' : 'not_ready',
    dependencies: Object.fromEntries(checked),
    ...vitals.model,
    scheduler: vitals.scheduler(),
  }
}

async function works(check: () => Promise<unknown>): Promise<boolean> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('late')), CHECK_LIMIT_MS)
  try {
    await Promise.race([check(), late.promise])
    return true
  } catch {
    return false
  } finally {
    clearTimeout(timer)
  }
}
