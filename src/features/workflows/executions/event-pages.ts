import type { ExecutionEvent } from '#desiagent/events.ts'
import { ValidationFailed } from '#kit/http/errors.ts'
import type { WorkflowContext } from '../context.ts'
import type { EventsQuery } from './contract.ts'
import type { StreamStart } from './stream.ts'

/** A page of a log, in the form of every list; its offset is the number of the event behind which it begins. */
export interface EventPage {
  data: ExecutionEvent[]
  pagination: { limit: number; offset: number; hasMore: boolean; nextCursor: string | null; total: number | null }
}

/**
 * The events of an execution, oldest first, while it runs and after.
 *
 * @param lastEventId  the header, which wins over `after`
 * @throws ExecutionNotFound, ValidationFailed for what does not go together
 */
export async function listEvents(
  ctx: WorkflowContext,
  id: string,
  query: EventsQuery,
  lastEventId: string | undefined,
): Promise<EventPage> {
  const { limit } = query
  const offset = beginOfPage(query, lastEventId)
  const found = await ctx.desi.executions.events(id, offset, limit + 1)
  const { lastEventSeq } = await ctx.desi.executions.get(id) // after the events: the total must not be less than they say
  const data = found.slice(0, limit)
  const hasMore = found.length > limit
  const nextCursor = hasMore ? String(data.at(-1)?.seq) : null
  const total = query.includeTotal === 'true' ? lastEventSeq : null // the log is dense, from 1
  return { data, pagination: { limit, offset, hasMore, nextCursor, total } }
}

/** Where a stream begins, and what it tells. @throws ValidationFailed for what only pages take */
export function streamStart({ after, include, cursor }: EventsQuery, lastEventId: string | undefined): StreamStart {
  if (cursor !== undefined) throw unfit('cursor', 'Only pages take it: send Accept: application/json, or `after`.')
  return { after: Number(lastEventId ?? after ?? 0), withDeltas: include === 'deltas' }
}

function beginOfPage({ after, include, cursor }: EventsQuery, lastEventId: string | undefined): number {
  if (include !== undefined) throw unfit('include', 'Only streams take it: send Accept: text/event-stream.')
  if (cursor === undefined) return Number(lastEventId ?? after ?? 0)
  if (after !== undefined || lastEventId !== undefined) throw unfit('cursor', 'Send cursor or after, not both.')
  return Number(cursor)
}

function unfit(path: string, message: string) {
  return new ValidationFailed([{ path, message }])
}
