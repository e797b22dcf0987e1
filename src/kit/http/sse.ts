import type { RequestContext } from './env.ts'
import { type TextSource, textStream } from './text-stream.ts'

export interface SseMessage {
  id: string
  event: string
  data: string
}

export interface SseSource {
  /** The next messages, or null when the stream is over. Empty when there is nothing yet. */
  read(): Promise<SseMessage[] | null>
  /** Resolves when there may be more to read, or when `signal` aborts. */
  wait(signal: AbortSignal): Promise<void>
  /** Called once, whatever ends the stream. */
  end(): void
}

const HEARTBEAT_MS = 15_000

/**
 * Streams what `source` reads as Server-Sent Events (WHATWG HTML §9.2): heartbeat comments while nothing happens, read
 * only when the reader has taken what was read before. One that is cut can come back with `Last-Event-ID`.
 */
export function sse(c: RequestContext, source: SseSource): Response {
  c.header('Content-Type', 'text/event-stream; charset=utf-8')
  c.header('X-Accel-Buffering', 'no') // nginx would hold events back
  return c.body(textStream(asText(source), { hangUp: c.req.raw.signal }))
}

function asText(source: SseSource): TextSource {
  let isFirst = true
  return {
    async next(gone) {
      if (!isFirst) return nextText(source, gone)
      isFirst = false
      return ': connected\n\n'
    },
    end: () => source.end(),
  }
}

/** What is to be said next: messages, or a heartbeat when nothing came in time. Null when the stream is over. */
async function nextText(source: SseSource, gone: AbortSignal): Promise<string | null> {
  const beat = AbortSignal.timeout(HEARTBEAT_MS)
  for (;;) {
    const messages = gone.aborted ? null : await source.read()
    if (messages === null) return null
    if (messages.length > 0) return messages.map(format).join('')
    await source.wait(AbortSignal.any([gone, beat]))
    if (beat.aborted) return ': heartbeat\n\n'
  }
}

function format({ id, event, data }: SseMessage): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`
}
