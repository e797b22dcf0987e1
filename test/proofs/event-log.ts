import { CLOSING_EVENTS } from '#desiagent/events.ts'
import type { SeenEvent } from './follower.ts'

/** An event as the log has it. */
export interface LoggedEvent {
  seq: number
  type: string
  ts: string
  data: { taskId?: string; [name: string]: unknown }
}

const CLOSING: ReadonlySet<string> = CLOSING_EVENTS

/** What is wrong with what a reader was told, if the log is right: each event once, in order, as it is in the log. */
export function faultsInSeen(seen: readonly SeenEvent[], log: readonly LoggedEvent[]): string[] {
  const faults: string[] = []
  for (const [index, { id, type, data }] of seen.entries()) {
    const before = seen[index - 1]?.id ?? 0
    if (id === before) faults.push(`event ${id} was told twice`)
    else if (id < before) faults.push(`event ${id} was told after ${before}`)
    else if (id > before + 1) faults.push(`after event ${before} came ${id}`)
    const logged = log[id - 1]
    if (!logged) faults.push(`event ${id} is not in the log`)
    else if (logged.type !== type) faults.push(`event ${id} was told as ${type} and is ${logged.type}`)
    else if (!isSame(data, logged)) faults.push(`event ${id} was told otherwise than the log has it`)
  }
  const last = seen.at(-1)?.id ?? 0
  if (last < log.length) faults.push(`events ${last + 1} to ${log.length} were not told`)
  return faults
}

/** What is wrong with the log of an execution that has completed. */
export function faultsInLog(log: readonly LoggedEvent[]): string[] {
  const faults: string[] = []
  const gap = log.findIndex(({ seq }, index) => seq !== index + 1)
  if (gap !== -1) faults.push(`place ${gap + 1} of the log has event ${log[gap]?.seq}`)
  if (log[0]?.type !== 'execution:started') faults.push(`the log begins with ${log[0]?.type}`)
  const ends = log.filter(({ type }) => CLOSING.has(type) && type !== 'execution:suspended')
  if (ends.length !== 1) faults.push(`the log has ${ends.length} ends`)
  if (log.at(-1)?.type !== 'execution:completed') faults.push(`the log ends with ${log.at(-1)?.type}`)
  return [...faults, ...faultsInTasks(log)]
}

/** A task completes once, and is not begun again after that. */
function faultsInTasks(log: readonly LoggedEvent[]): string[] {
  const faults: string[] = []
  const completed = new Set<string>()
  for (const { seq, type, data } of log) {
    const { taskId } = data
    if (taskId === undefined) continue
    if (completed.has(taskId)) faults.push(`event ${seq} tells ${type} of task ${taskId}, which had completed`)
    if (type === 'execution:task_completed') completed.add(taskId)
  }
  return faults
}

function isSame(told: string, logged: LoggedEvent): boolean {
  try {
    return canonical(JSON.parse(told)) === canonical(logged)
  } catch {
    return false
  }
}

/** Whatever the order of its fields. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
