import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
} from '@ai-sdk/provider'
import { answer } from './answer.ts'
import { plan } from './planning/plan.ts'
import { promptChars, readTitleMessage, userTexts } from './prompt-parts.ts'
import { synthesise } from './synthesis.ts'
import { titleOf } from './title.ts'

const STOPPED: LanguageModelV4FinishReason = { unified: 'stop', raw: 'stop' }

/** A long text comes in at most about so many pieces, a short one in pieces of a few words. */
const MOST_PIECES = 200
const SHORTEST_PIECE = 24

/**
 * A model without a network, for machines without a provider key. It plans by a goal's words and works on texts by
 * extraction; whatever goes beyond that it says it cannot do. The same prompt always gives the same answer.
 *
 * What a call is for comes with it, as `providerOptions.offline.task`; without it, the call is an answer.
 */
export function createOfflineModel(): LanguageModelV4 {
  return {
    specificationVersion: 'v4',
    provider: 'offline',
    modelId: 'offline-1',
    supportedUrls: {},
    async doGenerate(options) {
      const text = textFor(options)
      return {
        content: [{ type: 'text', text }],
        finishReason: STOPPED,
        usage: usageOf(options, text),
        warnings: [],
      }
    },
    async doStream(options) {
      const text = textFor(options)
      return { stream: streamOf(streamParts(text, usageOf(options, text), options.abortSignal)) }
    },
  }
}

function textFor(options: LanguageModelV4CallOptions): string {
  options.abortSignal?.throwIfAborted()
  const messages = userTexts(options.prompt)
  const first = messages[0] ?? ''
  switch (options.providerOptions?.offline?.task) {
    case 'plan':
      return JSON.stringify(plan(first))
    case 'title':
      return titleOf(readTitleMessage(first))
    case 'synthesis':
      return synthesise(first)
    default:
      return answer(messages)
  }
}

function streamOf(parts: Iterator<LanguageModelV4StreamPart>): ReadableStream<LanguageModelV4StreamPart> {
  return new ReadableStream({
    pull(controller) {
      const { done, value } = parts.next()
      if (done) controller.close()
      else controller.enqueue(value)
    },
  })
}

function* streamParts(
  text: string,
  usage: LanguageModelV4Usage,
  signal: AbortSignal | undefined,
): Generator<LanguageModelV4StreamPart> {
  const id = '0'
  yield { type: 'stream-start', warnings: [] }
  yield { type: 'text-start', id }
  for (const delta of piecesOf(text)) {
    signal?.throwIfAborted()
    yield { type: 'text-delta', id, delta }
  }
  yield { type: 'text-end', id }
  yield { type: 'finish', finishReason: STOPPED, usage }
}

/** Whole words with the space behind them, so that what is there at any moment can be read. */
function* piecesOf(text: string): Generator<string> {
  const shortest = Math.max(SHORTEST_PIECE, Math.ceil(text.length / MOST_PIECES))
  let piece = ''
  for (const [word] of text.matchAll(/\S+\s*|\s+/g)) {
    piece += word
    if (piece.length < shortest) continue
    yield piece
    piece = ''
  }
  if (piece !== '') yield piece
}

/** Four characters to a token: no tokenizer's count, but the same every time and near the usual ones for English. */
function usageOf({ prompt }: LanguageModelV4CallOptions, text: string): LanguageModelV4Usage {
  const input = Math.ceil(promptChars(prompt) / 4)
  const output = Math.ceil(text.length / 4)
  return {
    inputTokens: { total: input, noCache: input, cacheRead: 0, cacheWrite: 0 },
    outputTokens: { total: output, text: output, reasoning: 0 },
  }
}
