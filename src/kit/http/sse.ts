import type { RequestContext } from './env.ts'

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
/** A reader that takes nothing for this long is cut; it can come back with `Last-Event-ID`. */
const WRITE_LIMIT_MS = 30_000

/**
 * Streams what `source` reads as Server-Sent Events (WHATWG HTML §9.2): heartbeat comments while nothing happens,
 * nothing buffered beyond one read, cut when the reader stops reading.
 */
export function sse(c: RequestContext, source: SseSource): Response {
  const gone = new AbortController()
  const leave = () => gone.abort()
  // Registered before the first await: a client that left before we listened would leave a zombie behind.
  c.req.raw.signal.addEventListener('abort', leave, { once: true })
  if (c.req.raw.signal.aborted) leave()

  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>()
  void pump(writable.getWriter(), source, gone).finally(() => {
    c.req.raw.signal.removeEventListener('abort', leave)
    source.end()
  })
  c.header('Content-Type', 'text/event-stream; charset=utf-8')
  c.header('X-Accel-Buffering', 'no') // nginx would hold events back
  return c.body(readable)
}

async function pump(
  writer: WritableStreamDefaultWriter<Uint8Array>,
  source: SseSource,
  gone: AbortController,
): Promise<void> {
  writer.closed.catch(() => gone.abort())
  try {
    await write(writer, ': connected\n\n')
    while (!gone.signal.aborted) {
      const messages = await source.read()
      if (messages === null) break
      if (messages.length > 0) await write(writer, messages.map(format).join(''))
      else if (!(await waitOrBeat(source, gone.signal))) await write(writer, ': heartbeat\n\n')
    }
    await writer.close()
  } catch {
    await writer.abort().catch(() => {})
  }
}

/** True when there may be something to read, false when it is time for a heartbeat. */
async function waitOrBeat(source: SseSource, gone: AbortSignal): Promise<boolean> {
  const beat = AbortSignal.timeout(HEARTBEAT_MS)
  await source.wait(AbortSignal.any([gone, beat]))
  return !beat.aborted
}

const encoder = new TextEncoder()

async function write(writer: WritableStreamDefaultWriter<Uint8Array>, text: string): Promise<void> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('the reader stopped reading')), WRITE_LIMIT_MS)
  try {
    await Promise.race([writer.ready.then(() => writer.write(encoder.encode(text))), late.promise])
  } finally {
    clearTimeout(timer)
  }
}

function format({ id, event, data }: SseMessage): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`
}
