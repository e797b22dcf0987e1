import { expect } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { type StartOptions, startApi, type TestApi } from '#test/support/start-api.ts'
import { HeldClock } from '../http/held-clock.ts'

export const MINUTE_MS = 60_000
export const HOUR_MS = 60 * MINUTE_MS
export const GOOD_PLAN = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))

export interface Occurrence {
  id: string
  scheduledAt: string
  status: string
  reason: { code: string; message: string } | null
  missedCount: number
  dagId: string | null
  executionId: string | null
}

/** An API at noon of 1 March 2026, whose clock stands still until it is moved. */
export async function startAtNoon(options: StartOptions = {}) {
  const clock = new HeldClock()
  const api = await startApi({ ...options, overrides: { ...options.overrides, now: clock.now } })
  const acme = await api.tenant('acme')
  /** Moves the clock and does what is due then. */
  const pass = async (milliseconds: number) => {
    clock.pass(milliseconds)
    await api.api.tick()
  }
  return { api, clock, acme, pass }
}

/** A model that plans at once, and works on steps until it is told to answer; the first answers go to the first asked. */
export async function slowWorker(plan: (call: ModelCall) => Reply | Promise<Reply> = () => GOOD_PLAN) {
  const waiting: (() => void)[] = []
  const model = await openAiServer(async (call): Promise<Reply> => {
    if (call.task === 'plan') return plan(call)
    if (call.task !== 'answer') return 'Good'
    await new Promise<void>((resolve) => waiting.push(resolve))
    return 'Done.'
  })
  const inFlight = () => waiting.length
  const letOneGo = () => waiting.shift()?.()
  return { model, inFlight, letOneGo }
}

/** A DAG with a plan of one step. */
export async function plannedDag(client: Client, more: object = {}): Promise<string> {
  const { status, body } = await client.post('/dags', { goalText: 'Count the words of "a b c"', ...more })
  expect(status, JSON.stringify(body)).toBe(201)
  return body.dagId
}

/** biome-ignore lint/suspicious/noExplicitAny: tests look into schedules as they like */
type Schedule = any

/** A schedule of a new DAG, unless the body says of what. */
export async function scheduled(
  client: Client,
  cronSchedule: string,
  more: Record<string, unknown> = {},
): Promise<Schedule> {
  const what = more.goal || more.dagId ? {} : { dagId: await plannedDag(client) }
  const { status, body } = await client.post('/schedules', { cronSchedule, ...what, ...more })
  expect(status, JSON.stringify(body)).toBe(201)
  return body
}

/** Oldest first. */
export async function occurrencesOf(client: Client, scheduleId: string, filter = ''): Promise<Occurrence[]> {
  const { status, body } = await client.get(`/schedules/${scheduleId}/occurrences?limit=100&${filter}`)
  expect(status).toBe(200)
  return body.data.toReversed()
}

/** `12:05 started`, `12:10 skipped missed`. */
export const told = (occurrences: readonly Occurrence[]) =>
  occurrences.map(({ scheduledAt, status, reason, missedCount }) =>
    [scheduledAt.slice(11, 16), status, reason?.code, missedCount || undefined].filter(Boolean).join(' '),
  )

/** The index of due work as it lies in the control database: when each schedule is looked at. */
export async function indexOf(api: TestApi): Promise<Record<string, string>> {
  const rows = await api.api.stores.control.selectFrom('due_work').selectAll().where('kind', '=', 'schedule').execute()
  return Object.fromEntries(rows.map((row) => [row.subject_id, row.due_at]))
}

/** biome-ignore lint/suspicious/noExplicitAny: tests look into executions as they like */
type Execution = any

/** Oldest first. */
export async function executionsOf(client: Client, scheduleId: string): Promise<Execution[]> {
  const { body } = await client.get(`/executions?limit=100&scheduleId=${scheduleId}`)
  return body.data.toReversed()
}

/** Waits until all it has begun have ended or rest. */
export async function allEnded(client: Client, scheduleId: string): Promise<void> {
  for (const { id } of await executionsOf(client, scheduleId)) await client.ended(id)
}
