import { z } from 'zod'

const Seq = z.int().positive()
const base = { seq: Seq, executionId: z.uuid(), ts: z.iso.datetime() }
const EventError = z.object({ message: z.string(), code: z.string().optional() })

function event<T extends string, D extends z.ZodRawShape>(type: T, data: D) {
  return z.object({ ...base, type: z.literal(type), data: z.object(data) })
}

function failure<T extends string, D extends z.ZodRawShape>(type: T, data: D) {
  return event(type, data).extend({ error: EventError })
}

const count = z.int().min(0)
const durationMs = z.int().min(0)
const taskId = z.string()

/** What is told about one execution, in the order in which it was committed. `seq` is dense, from 1. */
export const ExecutionEvent = z.discriminatedUnion('type', [
  event('execution:started', { total: count, request: z.string() }),
  event('execution:resumed', {}),
  event('execution:wave_started', { wave: count, taskIds: z.array(taskId), parallel: z.boolean() }),
  event('execution:wave_completed', { wave: count, completedTasks: count, totalTasks: count, durationMs }),
  event('execution:task_started', { taskId, type: z.string(), tool: z.string(), description: z.string() }),
  event('execution:task_progress', { taskId, message: z.string() }),
  event('execution:task_completed', { taskId, durationMs }),
  failure('execution:task_failed', { taskId, durationMs }),
  event('execution:task_skipped', { taskId, reason: z.string() }),
  event('execution:task_retried', { taskId }),
  event('execution:synthesis_started', {}),
  event('execution:synthesis_progress', { message: z.string() }),
  event('execution:synthesis_completed', { durationMs }),
  event('execution:pause_requested', {}),
  event('execution:paused', {}),
  failure('execution:suspended', {}),
  event('execution:cancelled', {}),
  event('execution:completed', {
    status: z.enum(['completed', 'partial']),
    completedTasks: count,
    failedTasks: count,
    durationMs,
  }),
  failure('execution:failed', { completedTasks: count, failedTasks: count }),
])
export type ExecutionEvent = z.infer<typeof ExecutionEvent>

/**
 * A piece of what a model is saying right now; told live, never stored, and no part of the log. Pieces of one `attempt`
 * follow each other: `offset` is how many characters (UTF-16 code units) came before. A reader that is slow, or came late, is told all that it
 * has not seen in one piece.
 */
export const ExecutionDelta = z.object({
  type: z.literal('execution:delta'),
  executionId: z.uuid(),
  /** Null: the synthesis. */
  taskId: taskId.nullable(),
  attempt: count,
  offset: count,
  text: z.string(),
})
export type ExecutionDelta = z.infer<typeof ExecutionDelta>

/** An event before the log has numbered it. */
export type NewEvent = Unnumbered<ExecutionEvent>
type Unnumbered<E> = E extends ExecutionEvent ? Omit<E, 'seq' | 'executionId' | 'ts'> : never

/** After one of these a stream has nothing more to wait for, unless somebody resumes the execution. */
export const CLOSING_EVENTS: ReadonlySet<ExecutionEvent['type']> = new Set([
  'execution:completed',
  'execution:failed',
  'execution:cancelled',
  'execution:suspended',
])
