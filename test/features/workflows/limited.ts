import { readLedger, sumOfRows } from '#test/support/ledger.ts'
import type { Answer, ModelCall } from '#test/support/openai-server.ts'
import type { TestApi } from '#test/support/start-api.ts'

/** The most tokens that were allowed for the answer of a call. Models that reason have a word of their own for it. */
export function answerBoundOf({ body }: ModelCall): number {
  const bound = body.max_completion_tokens ?? body.max_tokens
  return (bound as number | undefined) ?? Number.POSITIVE_INFINITY
}

/** Of a call that asks for text, counted as the limits count: a token for each byte, and what frames the messages. */
export function promptTokensAtMost({ system, messages }: ModelCall): number {
  const bytes = [system, ...messages].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
  return bytes + 16 * (messages.length + 1) + 64
}

/** The most tokens such a call can use. */
export function boundOf(call: ModelCall): number {
  return promptTokensAtMost(call) + answerBoundOf(call)
}

/** An answer that wants to be so long, and is cut where it is bounded. */
export function answerOf(call: ModelCall, text: string, completionTokens: number, promptTokens = 100): Answer {
  const isCut = answerBoundOf(call) < completionTokens
  return {
    text,
    finishReason: isCut ? 'length' : 'stop',
    usage: { prompt_tokens: promptTokens, completion_tokens: isCut ? answerBoundOf(call) : completionTokens },
  }
}

/** What the ledger says that a tenant's calls have used so far, in the units of the limits. */
export function usedInLedger(api: TestApi, tenant: Parameters<typeof readLedger>[1]) {
  const { usage, knownCostUsdMicros } = sumOfRows(readLedger(api, tenant))
  return { tokens: usage.totalTokens, costUsdMicros: knownCostUsdMicros }
}
