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
const READER_LIMIT_MS = 30_000

/**
 * Streams what `source` reads as Server-Sent Events (WHATWG HTML §9.2): heartbeat comments while nothing happens, read
 * only when the reader has taken what was read before, cut when the reader stops reading.
 */
export function sse(c: RequestContext, source: SseSource): Response {
  c.header('Content-Type', 'text/event-stream; charset=utf-8')
  c.header('X-Accel-Buffering', 'no') // nginx would hold events back
  return c.body(streamOf(source, c.req.raw.signal))
}

function streamOf(source: SseSource, hangUp: AbortSignal): ReadableStream<Uint8Array<ArrayBuffer>> {
  const gone = new AbortController()
  const encoder = new TextEncoder()
  let isFirst = true
  let slowReader: ReturnType<typeof setTimeout> | undefined

  const finish = () => {
    if (slowReader !== undefined) clearTimeout(slowReader)
    hangUp.removeEventListener('abort', finish)
    if (gone.signal.aborted) return
    gone.abort()
    source.end()
  }
  // Registered before the first await: a client that left before we listened would leave a zombie behind.
  hangUp.addEventListener('abort', finish, { once: true })
  if (hangUp.aborted) finish()

  const giveUp = (error: unknown) => {
    finish()
    throw error
  }

  return new ReadableStream({
    async pull(controller) {
      if (slowReader !== undefined) clearTimeout(slowReader)
      const text = isFirst ? ': connected\n\n' : await nextText(source, gone.signal).catch(giveUp)
      isFirst = false
      if (text === null || gone.signal.aborted) {
        finish()
        controller.close()
        return
      }
      controller.enqueue(encoder.encode(text) as Uint8Array<ArrayBuffer>)
      slowReader = setTimeout(() => {
        finish()
        controller.error(new Error('the reader stopped reading'))
      }, READER_LIMIT_MS)
    },
    cancel: finish,
  })
}

/** What is to be said next: messages, or a heartbeat when nothing came in time. Null when the stream is over. */
async function nextText(source: SseSource, gone: AbortSignal): Promise<string | null> {
  const beat = AbortSignal.timeout(HEARTBEAT_MS)
  for (;;) {
    const messages = gone.aborted ? null : await source.read()
    if (messages === null) return null
    if (messages.length > 0) {
      await othersFirst()
      return messages.map(format).join('')
    }
    await source.wait(AbortSignal.any([gone, beat]))
    if (beat.aborted) return ': heartbeat\n\n'
  }
}

/** Hundreds of readers catching up on a long log must not keep everybody else's requests waiting. */
function othersFirst(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0))
}

function format({ id, event, data }: SseMessage): string {
  return `id: ${id}\nevent: ${event}\ndata: ${data}\n\n`
}
