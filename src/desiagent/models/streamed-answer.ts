import {
  InvalidArgumentError,
  InvalidPromptError,
  InvalidResponseDataError,
  type LanguageModelV4,
  type LanguageModelV4Prompt,
  type LanguageModelV4StreamPart,
} from '@ai-sdk/provider'
import type { CallSettings } from './ai-sdk-model.ts'
import { type ModelAnswer, ModelError, type ModelRequest } from './model.ts'
import { asModelError, cut, ofFrame, unreadable } from './sdk-failures.ts'
import { type Counted, usableAnswer } from './usable-answer.ts'

type Finish = Extract<LanguageModelV4StreamPart, { type: 'finish' }>

/**
 * Asks for a text as a stream and tells `request.onText` of each piece as it comes. What is asked, and the answer, its
 * usage and its end, are those of the same call made whole. Straight through the SDK's model: of what `streamText` adds,
 * steps, tools and streams of its own, nothing is wanted here.
 *
 * @throws ModelError; whatever a stream that had begun fails with, what it cost is not known
 */
export async function streamAnswer(
  model: LanguageModelV4,
  request: ModelRequest,
  settings: CallSettings,
): Promise<ModelAnswer> {
  refuseOddSettings(request)
  const { stream } = await model.doStream({ ...settings, prompt: promptOf(request) })
  const answer = new StreamedAnswer(request.onText)
  try {
    await readToEnd(stream, request.signal, (part) => answer.take(part))
  } catch (error) {
    throw answer.failure(asModelError(error, request.signal))
  }
  return answer.whole()
}

/** `generateText` refuses these before anything is sent; `doStream` lies below it and would send them. */
function refuseOddSettings({ maxTokens, seed, messages }: ModelRequest): void {
  const isOdd = (value: number | undefined) => value !== undefined && !Number.isInteger(value)
  if (isOdd(maxTokens) || (maxTokens ?? 1) < 1)
    throw new InvalidArgumentError({ argument: 'maxTokens', message: 'a whole number above 0' })
  if (isOdd(seed)) throw new InvalidArgumentError({ argument: 'seed', message: 'a whole number' })
  if (messages.length === 0) throw new InvalidPromptError({ prompt: messages, message: 'no messages' })
}

function promptOf({ instructions, messages }: ModelRequest): LanguageModelV4Prompt {
  const asked = messages.map((text) => ({ role: 'user' as const, content: [{ type: 'text' as const, text }] }))
  return [{ role: 'system', content: instructions }, ...asked]
}

/** Reads a stream until it ends, fails or is stopped, and lets go of it in any case. */
async function readToEnd<T>(stream: ReadableStream<T>, signal: AbortSignal, take: (part: T) => void): Promise<void> {
  const reader = stream.getReader()
  // A read that waits ends with this, also where the connection below takes no notice of the signal.
  const letGo = () => void reader.cancel(signal.reason).catch(() => {})
  signal.addEventListener('abort', letGo)
  try {
    signal.throwIfAborted() // stopped before anybody listened for it
    while (true) {
      const { done, value } = await reader.read()
      signal.throwIfAborted()
      if (done) return
      take(value)
    }
  } finally {
    signal.removeEventListener('abort', letGo)
    letGo()
  }
}

/** What has come of a streamed answer. */
class StreamedAnswer {
  readonly #onText: ModelRequest['onText']
  #text = ''
  #finish: Finish | undefined
  /** The provider has said something of an answer, so it may charge for it. */
  #hasBegun = false

  constructor(onText: ModelRequest['onText']) {
    this.#onText = onText
  }

  /** @throws ModelError when the part says that the provider failed */
  take(part: LanguageModelV4StreamPart): void {
    if (part.type === 'stream-start') return
    if (part.type === 'error') throw this.#failureIn(part.error)
    if (part.type === 'finish') {
      this.#finish = part
      return
    }
    this.#hasBegun = true
    if (part.type !== 'text-delta' || part.delta === '') return
    this.#text += part.delta
    tell(this.#onText, part.delta)
  }

  #failureIn(error: unknown): unknown {
    // The compatible adapter's word for a stream that ended although no end was announced; the others give a `finish`.
    if (InvalidResponseDataError.isInstance(error) && error.data === undefined) return this.#endedEarly()
    return error instanceof Error ? error : ofFrame(error)
  }

  #endedEarly(): ModelError {
    return this.#hasBegun ? cut() : unreadable()
  }

  failure(error: ModelError): ModelError {
    if (!this.#hasBegun || error.usage === null) return error
    return new ModelError(error.code, error.message, null, error.retryAfterMs)
  }

  /** @throws ModelError when the stream ended before the answer did, or the answer is empty */
  whole(): ModelAnswer {
    const reason = this.#finish?.finishReason
    if (!this.#finish || reason?.unified === 'interrupted') throw this.#endedEarly()
    // Some servers say so in the last chunk, beside an error that the adapter does not read there.
    if (reason?.unified === 'error' || reason?.raw === 'error') throw this.failure(ofFrame({}))
    return usableAnswer(this.#text, countedIn(this.#finish), reason?.unified)
  }
}

function countedIn({ usage: { inputTokens, outputTokens } }: Finish): Counted {
  return { prompt: inputTokens.total, cached: inputTokens.cacheRead, completion: outputTokens.total }
}

/** Listening is no part of the call: whatever a listener throws, also later, is its own affair. */
function tell(onText: ((piece: string) => unknown) | undefined, piece: string): void {
  try {
    const told = onText?.(piece)
    if (told instanceof Promise) told.catch(() => {})
  } catch {}
}
