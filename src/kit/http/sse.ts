import type { RequestContext } from './env.ts'
import { othersFirst } from './others-first.ts'
import { type TextSource, textStream } from './text-stream.ts'

export interface SseMessage {
  /** Without one the reader's `Last-Event-ID` stays what it was. */
  id?: string
  event: string
  data: string
}

export interface SseSource {
  /** The next messages, formatted, or null when the stream is over. Empty when there is nothing yet. */
  read(): Promise<string | null>
  /** Resolves when there may be more to read, or the source has ended: true; after `ms`: false. */
  wait(ms: number): Promise<boolean>
  /** Called once, whatever ends the stream. */
  end(): void
}

const HEARTBEAT_MS = 15_000

/**
 * Streams what `source` reads as Server-Sent Events (WHATWG HTML §9.2): heartbeat comments while nothing happens, read
 * only when the reader has taken what was read before. One that is cut can come back with `Last-Event-ID`.
 *
 * @param readerLimitMs  a reader that takes nothing for this long is cut
 */
export function sse(c: RequestContext, source: SseSource, readerLimitMs: number): Response {
  c.header('Content-Type', 'text/event-stream; charset=utf-8')
  c.header('X-Accel-Buffering', 'no') // nginx would hold events back
  return c.body(textStream(asText(source), { hangUp: c.req.raw.signal, readerLimitMs, cut: cutOf(c) }))
}

/** Node's server hands out its side of the connection; a body that broke off it would report as an error of its own. */
function cutOf(c: RequestContext): (() => void) | undefined {
  const outgoing = (c.env as { outgoing?: { destroy(): void } } | undefined)?.outgoing
  return outgoing && (() => outgoing.destroy())
}

export function formatMessage({ id, event, data }: SseMessage): string {
  return `${id === undefined ? '' : `id: ${id}\n`}event: ${event}\ndata: ${data}\n\n`
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
  const beatAt = performance.now() + HEARTBEAT_MS
  for (;;) {
    const text = gone.aborted ? null : await source.read()
    if (text !== '') return text
    const leftMs = beatAt - performance.now()
    if (leftMs <= 0 || !(await source.wait(leftMs))) return ': heartbeat\n\n'
    await othersFirst() // whoever woke this reader has woken others
  }
}
