import { CLOSING_EVENTS, type ExecutionEvent } from '#desiagent/events.ts'
import type { Execution as ExecutionRecord } from '#desiagent/execution.ts'
import type { SubStep as SubStepRecord } from '#desiagent/store/sub-steps.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { WorkflowContext } from '../context.ts'
import type { Execution, ListExecutionsQuery, SubStep } from './contract.ts'

export async function listExecutions(
  ctx: WorkflowContext,
  query: ListExecutionsQuery,
  page: PageRequest,
): Promise<Page<Execution>> {
  const { status, dagId, search } = query
  const found = await ctx.desi.executions.list({ status, dagId, search, ...createdRange(query) }, page)
  return { ...found, rows: found.rows.map(present) }
}

export async function getExecution(ctx: WorkflowContext, id: string): Promise<Execution> {
  return present(await ctx.desi.executions.get(id))
}

export async function listSubSteps(ctx: WorkflowContext, id: string): Promise<SubStep[]> {
  return (await ctx.desi.executions.subSteps(id)).map(presentStep)
}

export async function getExecutionDetails(
  ctx: WorkflowContext,
  id: string,
): Promise<Execution & { subSteps: SubStep[] }> {
  const { subSteps, ...execution } = await ctx.desi.executions.details(id)
  return { ...present(execution), subSteps: subSteps.map(presentStep) }
}

export async function cancelExecution(ctx: WorkflowContext, id: string): Promise<Execution> {
  return present(await ctx.desi.executions.cancel(id))
}

export async function resumeExecution(ctx: WorkflowContext, id: string): Promise<Execution> {
  return present(await ctx.desi.executions.resume(id))
}

export function deleteExecution(ctx: WorkflowContext, id: string): Promise<void> {
  return ctx.desi.executions.remove(id)
}

const EVENTS_PER_READ = 100

export interface EventReader {
  /** The next events in order; empty when there are none yet; null when the last one closed the stream. */
  read(): Promise<ExecutionEvent[] | null>
}

/**
 * Reads an execution's log from behind number `after`.
 *
 * @returns null when the execution rests and there is nothing behind `after`
 * @throws ExecutionNotFound
 */
export async function readEvents(ctx: WorkflowContext, id: string, after: number): Promise<EventReader | null> {
  const { executions } = ctx.desi
  const execution = await executions.get(id)
  if (isResting(execution) && after >= execution.lastEventSeq) return null

  let last = after
  let isClosed = false
  return {
    async read() {
      if (isClosed) return null
      const events = await executions.events(id, last, EVENTS_PER_READ)
      last = events.at(-1)?.seq ?? last
      if (events.length < EVENTS_PER_READ) isClosed = await isOver(events.at(-1))
      return isClosed && events.length === 0 ? null : events
    },
  }

  /** A closing event ends the stream, unless somebody resumed the execution after it. */
  async function isOver(newest: ExecutionEvent | undefined): Promise<boolean> {
    if (newest && !CLOSING_EVENTS.has(newest.type)) return false
    const now = await executions.get(id)
    return isResting(now) && last >= now.lastEventSeq
  }
}

function isResting({ status }: ExecutionRecord): boolean {
  return !['pending', 'running', 'waiting', 'paused'].includes(status)
}

function present({ lastEventSeq: _, ...execution }: ExecutionRecord): Execution {
  return execution
}

function presentStep({ wave: _, retry: __, ...step }: SubStepRecord): SubStep {
  return step
}
