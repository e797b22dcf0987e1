import { othersFirst } from './others-first.ts'

export interface TextSource {
  /**
   * The next piece of text, or null when there is no more.
   *
   * @param gone  aborts when nobody waits for it any more
   */
  next(gone: AbortSignal): Promise<string | null>
  /** Called once, whatever ends the stream. */
  end(): void
}

export interface TextStreamOptions {
  /** Aborts when the reader has gone. */
  hangUp: AbortSignal
  /** Breaks the body off with an error, for one that would look whole if it just ended. */
  breakOff?: AbortSignal
  /** A reader that takes nothing for this long is cut. */
  readerLimitMs?: number
  /** Ends its connection; without it the body breaks off with an error. */
  cut?: (() => void) | undefined
}

export const READER_LIMIT_MS = 30_000

/** A body that is made as it is read: the next piece is asked for when the reader has taken the one before. */
export function textStream(
  source: TextSource,
  { hangUp, breakOff, readerLimitMs = READER_LIMIT_MS, cut }: TextStreamOptions,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  const gone = new AbortController()
  let slowReader: ReturnType<typeof setTimeout> | undefined
  let onBreakOff = () => {}

  const finish = () => {
    if (slowReader !== undefined) clearTimeout(slowReader)
    hangUp.removeEventListener('abort', finish)
    breakOff?.removeEventListener('abort', onBreakOff)
    if (gone.signal.aborted) return
    gone.abort()
    source.end()
  }
  // Registered before the first await: a client that left before we listened would leave a zombie behind.
  hangUp.addEventListener('abort', finish, { once: true })
  if (hangUp.aborted) finish()

  return new ReadableStream({
    start(controller) {
      onBreakOff = () => fail(controller, 'the server is stopping')
      if (gone.signal.aborted) return
      breakOff?.addEventListener('abort', onBreakOff, { once: true })
      if (breakOff?.aborted) onBreakOff()
    },
    async pull(controller) {
      if (slowReader !== undefined) clearTimeout(slowReader)
      try {
        await othersFirst()
        const text = gone.signal.aborted ? null : await source.next(gone.signal)
        if (breakOff?.aborted) return
        if (text === null || gone.signal.aborted) {
          finish()
          controller.close()
          return
        }
        controller.enqueue(encoder.encode(text) as Uint8Array<ArrayBuffer>)
      } catch (error) {
        finish()
        throw error
      }
      slowReader = setTimeout(() => cutOff(controller), readerLimitMs)
    },
    cancel: finish,
  })

  function cutOff(controller: ReadableStreamDefaultController): void {
    finish()
    if (cut) cut()
    else controller.error(new Error('the reader stopped reading'))
  }

  function fail(controller: ReadableStreamDefaultController, reason: string): void {
    finish()
    controller.error(new Error(reason))
  }
}
