import type { RequestContext } from '#kit/http/env.ts'
import { type SseMessage, sse } from '#kit/http/sse.ts'
import type { Wake } from '#ports/wake.ts'
import type { WorkflowContext } from '../context.ts'
import { TooManyStreams } from './errors.ts'
import { type EventReader, readEvents } from './service.ts'

const STREAMS_PER_TENANT = 200

/** The event streams of this process: how many each tenant has open, and what wakes them. */
export class EventStreams {
  readonly wake: Wake
  /** Aborts when the process goes down; streams then end, and their readers come back with `Last-Event-ID`. */
  readonly stopping: AbortSignal
  readonly #open = new Map<string, number>()

  constructor(wake: Wake, stopping: AbortSignal) {
    this.wake = wake
    this.stopping = stopping
  }

  get openCount(): number {
    return [...this.#open.values()].reduce((sum, open) => sum + open, 0)
  }

  /** Takes a place for one stream. @returns gives it back @throws TooManyStreams */
  enter(tenantId: string): () => void {
    const open = this.#open.get(tenantId) ?? 0
    if (open >= STREAMS_PER_TENANT) throw new TooManyStreams({ limit: STREAMS_PER_TENANT }, { retryAfterSeconds: 5 })
    this.#open.set(tenantId, open + 1)
    return () => {
      const left = (this.#open.get(tenantId) ?? 1) - 1
      if (left > 0) this.#open.set(tenantId, left)
      else this.#open.delete(tenantId)
    }
  }
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
  const leave = streams.enter(ctx.tenant.id)
  const letGo = ctx.hold()
  const waiting = follow(reader, streams, executionId)
  return sse(c, {
    ...waiting,
    end: () => {
      waiting.end()
      letGo()
      leave()
    },
  })
}

/** The "grown" flag is cleared before the log is read, so a wake-up between reading and waiting is not lost. */
function follow(reader: EventReader, { wake, stopping }: EventStreams, executionId: string) {
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
