import { type LiveAnswers, liveTopic } from '#desiagent/executor/live-answers.ts'
import { Bell } from '#kit/bell.ts'
import type { RequestContext } from '#kit/http/env.ts'
import type { OpenStreams } from '#kit/http/open-streams.ts'
import { type SseSource, sse } from '#kit/http/sse.ts'
import type { Wake } from '#ports/wake.ts'
import type { WorkflowContext } from '../context.ts'
import { isResting, type SharedLogs } from './shared-log.ts'
import { ToldDeltas } from './told-deltas.ts'

/** What every event stream of this process needs. When it goes down they end, and their readers come back with `Last-Event-ID`. */
export interface EventStreams {
  open: OpenStreams
  /** Tells that a log has grown, or that a model has spoken. */
  wake: Wake
  logs: SharedLogs
  liveAnswers: LiveAnswers
}

/** Where a stream begins, and what it tells. */
export interface StreamStart {
  /** The number of the last event the reader has. */
  after: number
  withDeltas: boolean
}

/** Answers with the log behind `after`, or 204 when the execution rests and the caller has it all. @throws ExecutionNotFound, TooManyStreams */
export async function streamEvents(
  c: RequestContext,
  ctx: WorkflowContext,
  streams: EventStreams,
  executionId: string,
  start: StreamStart,
): Promise<Response> {
  const execution = await ctx.desi.executions.get(executionId)
  const { lastEventSeq } = execution
  if (isResting(execution) && start.after >= lastEventSeq) return c.body(null, 204)
  if (c.req.method === 'HEAD') return c.body(null, 200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
  const leave = streams.open.enter(ctx.tenant.id)
  const letGo = ctx.hold()
  const source = follow(ctx, streams, { id: executionId, lastEventSeq }, start)
  const end = () => {
    source.end()
    letGo()
    leave()
  }
  return sse(c, { ...source, end }, streams.open.readerLimitMs)
}

function follow(
  ctx: WorkflowContext,
  { wake, logs, liveAnswers, open: { stopping } }: EventStreams,
  { id, lastEventSeq }: { id: string; lastEventSeq: number },
  { after, withDeltas }: StreamStart,
): SseSource {
  const log = logs.join(ctx.tenant.id, id)
  const deltas = withDeltas ? new ToldDeltas(id, liveAnswers) : null
  const bell = new Bell()
  const topics = deltas ? [id, liveTopic(id)] : [id]
  const subscriptions = topics.map((topic) => wake.subscribe(topic, bell.ring))
  stopping.addEventListener('abort', bell.ring)
  let last = after
  let isOver = false

  return {
    async read() {
      bell.hush() // before the log is read: a wake-up between reading and waiting must not be lost
      if (isOver || stopping.aborted) return null
      if (!(await ctx.isKeyStillGood())) return null // a key that is revoked meanwhile is told no more
      const speaking = deltas?.speaking() ?? []
      const piece = await log.read(ctx.desi.executions, last, lastEventSeq)
      const told = deltas ? deltas.weave(piece, speaking) : piece
      last = told.last
      isOver = told.isEnd
      return isOver && told.text === '' ? null : told.text
    },
    wait: (ms) => bell.wait(ms),
    end() {
      for (const unsubscribe of subscriptions) unsubscribe()
      stopping.removeEventListener('abort', bell.ring)
      log.leave()
      bell.ring()
    },
  }
}
