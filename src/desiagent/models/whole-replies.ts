/**
 * Some servers that call themselves compatible ignore `stream: true` and answer whole. The adapter would see a stream
 * without a single event; with this fetch it sees one event that holds everything, and nobody has to ask a second time.
 */
export async function fetchStreamable(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  const response = await fetch(input, init)
  const isJson = response.headers.get('content-type')?.includes('json') ?? false
  if (!isJson || !response.ok || !response.body || !asksForStream(init)) return response
  const { status, headers } = response
  return new Response(response.body.pipeThrough(asEvents()), { status, headers })
}

/** In the JSON of the body: the same letters in somebody's message have backslashes between them. */
function asksForStream(init: RequestInit | undefined): boolean {
  return typeof init?.body === 'string' && init.body.includes('"stream":true')
}

/** Holds everything back until it is all there, as a reader of the whole answer would. */
function asEvents(): TransformStream<Uint8Array, Uint8Array> {
  const decoder = new TextDecoder()
  let text = ''
  return new TransformStream({
    transform(bytes) {
      text += decoder.decode(bytes, { stream: true })
    },
    flush(controller) {
      text += decoder.decode()
      controller.enqueue(new TextEncoder().encode(asEvent(text)))
    },
  })
}

function asEvent(text: string): string {
  try {
    return `data: ${JSON.stringify(asChunk(JSON.parse(text)))}\n\n`
  } catch {
    return text // a stream after all, under another name, or nothing that anybody could read
  }
}

interface WholeChoice {
  index?: number
  message?: Record<string, unknown>
  finish_reason?: string | null
}

/** A `chat.completion` as the one `chat.completion.chunk` that says the same; anything else as it is. */
function asChunk(answer: unknown): unknown {
  const { choices } = (answer ?? {}) as { choices?: unknown }
  if (!Array.isArray(choices)) return answer
  const chunks = choices.map(({ index = 0, message, finish_reason }: WholeChoice) => ({
    index,
    delta: message,
    // An answer that came whole has ended, whether or not it says how; a chunk without a reason would mean a cut.
    finish_reason: finish_reason ?? 'unknown',
  }))
  return { ...(answer as object), choices: chunks }
}
