import type { RequestContext } from '#kit/http/env.ts'
import type { OpenStreams } from '#kit/http/open-streams.ts'
import { type SseMessage, sse } from '#kit/http/sse.ts'
import type { Wake } from '#ports/wake.ts'
import type { WorkflowContext } from '../context.ts'
import { type EventReader, readEvents } from './service.ts'

/** What every event stream of this process needs. When it goes down they end, and their readers come back with `Last-Event-ID`. */
export interface EventStreams {
  open: OpenStreams
  /** Tells that a log has grown. */
  wake: Wake
}

/** Answers with the log behind `after`, or 204 when the execution rests and the caller has it all. */
export async function streamEvents(
  c: RequestContext,
  ctx: WorkflowContext,
  streams: EventStreams,
  executionId: string,
  after: number,
): Promise<Response> {
  const reader = await readEvents(ctx, executionId, after)
  if (!reader) return c.body(null, 204)
  if (c.req.method === 'HEAD') return c.body(null, 200, { 'Content-Type': 'text/event-stream; charset=utf-8' })
  const leave = streams.open.enter(ctx.tenant.id)
  const letGo = ctx.hold()
  const waiting = follow(reader, streams, executionId)
  return sse(c, {
    ...waiting,
    // A key that is revoked meanwhile is told no more, at the next event or heartbeat.
    read: async () => ((await ctx.isKeyStillGood()) ? waiting.read() : null),
    end: () => {
      waiting.end()
      letGo()
      leave()
    },
  })
}

/** The "grown" flag is cleared before the log is read, so a wake-up between reading and waiting is not lost. */
function follow(reader: EventReader, { wake, open: { stopping } }: EventStreams, executionId: string) {
  let hasGrown = true
  let rouse = () => {}
  const onWake = () => {
    hasGrown = true
    rouse()
  }
  const unsubscribe = wake.subscribe(executionId, onWake)
  stopping.addEventListener('abort', onWake)
  return {
    async read(): Promise<SseMessage[] | null> {
      hasGrown = false
      if (stopping.aborted) return null
      const events = await reader.read()
      return events?.map((event) => ({ id: String(event.seq), event: event.type, data: JSON.stringify(event) })) ?? null
    },
    wait(signal: AbortSignal): Promise<void> {
      if (hasGrown || signal.aborted) return Promise.resolve()
      return new Promise((resolve) => {
        rouse = resolve
        signal.addEventListener('abort', () => resolve(), { once: true })
      })
    },
    end: () => {
      unsubscribe()
      stopping.removeEventListener('abort', onWake)
    },
  }
}
