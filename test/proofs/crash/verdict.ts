import { faultsInLog, faultsInSeen, type LoggedEvent } from '../event-log.ts'
import type { SeenEvent } from '../follower.ts'
import type { NotedCall } from './noted-model.ts'
import type { SeenResult } from './order.ts'

/** What there is of an order at the end. */
export interface FinishedOrder {
  name: string
  executionId: string | null
  problems: readonly string[]
  completedAtMs: ReadonlyMap<string, number>
  /** As they were read while the server was killed. */
  results: ReadonlyMap<string, SeenResult>
  streamed: readonly SeenEvent[]
  log: readonly LoggedEvent[]
  /** Of `GET /executions/{id}/details`. */
  details: {
    status: string
    finalResult: string | null
    subSteps: readonly { taskId: string; status: string; result: unknown }[]
  } | null
}

export interface Finished {
  orders: readonly FinishedOrder[]
  /** All executions of the tenant. */
  executions: readonly { id: string; originalRequest: string }[]
  calls: readonly NotedCall[]
  kills: readonly { fromMs: number; untilMs: number }[]
}

/** What was lost, changed or done twice. */
export function faultsOf(finished: Finished): string[] {
  const callsByKey = Map.groupBy(finished.calls, ({ key }) => key)
  return [
    ...finished.orders.flatMap((order) => faultsOfOrder(order, finished.executions, callsByKey)),
    ...strangers(finished),
    ...needlessRepeats(finished, callsByKey),
  ]
}

function faultsOfOrder(
  order: FinishedOrder,
  executions: Finished['executions'],
  callsByKey: ReadonlyMap<string, readonly NotedCall[]>,
): string[] {
  const { name, executionId, problems, details, streamed, log } = order
  const own = executions.filter(({ originalRequest }) => isOf(name, originalRequest))
  const faults = [...problems]
  if (own.length !== 1) faults.push(`has ${own.length} executions`)
  else if (own[0]?.id !== executionId) faults.push('its execution is not the one that was answered')
  if (details?.status !== 'completed') faults.push(`is ${details?.status}`)
  faults.push(...faultsInLog(log), ...faultsInSeen(streamed, log), ...faultsInResults(order, callsByKey))
  return faults.map((fault) => `${name} (${executionId}): ${fault}`)
}

/** Each result is one that the model gave for it, the one that was read before, and not asked for again. */
function faultsInResults(order: FinishedOrder, callsByKey: ReadonlyMap<string, readonly NotedCall[]>): string[] {
  const { executionId, details, results, completedAtMs } = order
  const faults: string[] = []
  for (const { taskId, status, result } of details?.subSteps ?? []) {
    const calls = callsOf(callsByKey, `${executionId}/${taskId}/`)
    if (status !== 'completed') faults.push(`task ${taskId} is ${status}`)
    if (!wasGiven(calls, result)) faults.push(`the result of ${taskId} is none that the model gave for it`)
    const seen = results.get(taskId)
    if (seen && seen.result !== result) faults.push(`the result of ${taskId} is not the one that was read before`)
    const completedAt = completedAtMs.get(taskId) ?? Number.POSITIVE_INFINITY
    const late = calls.filter(({ beganAtMs }) => beganAtMs > completedAt)
    if (late.length > 0) faults.push(`${late.length} calls for ${taskId} after its answer was committed`)
  }
  const syntheses = callsOf(callsByKey, `${executionId}/synthesis/`)
  if (details && !wasGiven(syntheses, details.finalResult)) faults.push('its final result is none that the model gave')
  return faults
}

function wasGiven(calls: readonly NotedCall[], text: unknown): boolean {
  return calls.some((call) => call.answeredAtMs !== null && call.text === text)
}

function callsOf(callsByKey: ReadonlyMap<string, readonly NotedCall[]>, prefix: string): NotedCall[] {
  return [...callsByKey].flatMap(([key, calls]) => (key.startsWith(prefix) ? calls : []))
}

/** Executions that nobody ordered. */
function strangers({ orders, executions }: Finished): string[] {
  return executions
    .filter(({ originalRequest }) => !orders.some(({ name }) => isOf(name, originalRequest)))
    .map(({ id }) => `execution ${id} belongs to no order`)
}

/** The same call is made again only when a kill came between. */
function needlessRepeats({ kills }: Finished, callsByKey: ReadonlyMap<string, readonly NotedCall[]>): string[] {
  const faults: string[] = []
  for (const [key, calls] of callsByKey) {
    for (const [index, { beganAtMs }] of calls.entries()) {
      const before = calls[index - 1]
      if (!before) continue
      const isCaused = kills.some(({ fromMs, untilMs }) => untilMs >= before.beganAtMs && fromMs <= beganAtMs)
      if (!isCaused) faults.push(`the call ${key} was repeated although nothing was killed`)
    }
  }
  return faults
}

function isOf(name: string, request: string): boolean {
  return request === `Goal of ${name}.` || request.startsWith(`${name}:`)
}
