export interface TextSource {
  /** The next piece of text, or null when there is no more. */
  next(): Promise<string | null>
  /** Called once, whatever ends the stream. */
  end(): void
}

/** A reader that takes nothing for this long is cut. */
const READER_LIMIT_MS = 30_000

/**
 * A body that is made as it is read: the next piece is asked for when the reader has taken the one before.
 *
 * @param hangUp  aborts when the reader has gone
 */
export function textStream(source: TextSource, hangUp: AbortSignal): ReadableStream<Uint8Array<ArrayBuffer>> {
  const encoder = new TextEncoder()
  let isOver = false
  let slowReader: ReturnType<typeof setTimeout> | undefined

  const finish = () => {
    if (slowReader !== undefined) clearTimeout(slowReader)
    hangUp.removeEventListener('abort', finish)
    if (isOver) return
    isOver = true
    source.end()
  }
  hangUp.addEventListener('abort', finish, { once: true })
  if (hangUp.aborted) finish()

  return new ReadableStream({
    async pull(controller) {
      if (slowReader !== undefined) clearTimeout(slowReader)
      try {
        const text = isOver ? null : await source.next()
        if (text === null || isOver) {
          finish()
          controller.close()
          return
        }
        controller.enqueue(encoder.encode(text) as Uint8Array<ArrayBuffer>)
      } catch (error) {
        finish()
        throw error
      }
      slowReader = setTimeout(() => {
        finish()
        controller.error(new Error('the reader stopped reading'))
      }, READER_LIMIT_MS)
    },
    cancel: finish,
  })
}
