import { type ModelAnswer, ModelError } from './model.ts'

/** What a provider counted, as far as it said. `cached` tokens are part of `prompt`. */
export interface Counted {
  prompt: number | undefined
  cached: number | undefined
  completion: number | undefined
}

/**
 * What a model said as an answer, however it came: whole or in pieces.
 *
 * @throws ModelError `unusable_answer` when it said nothing, with what that cost
 */
export function usableAnswer(text: string, counted: Counted, finishReason: string | undefined): ModelAnswer {
  const { prompt = 0, cached = 0, completion = 0 } = counted
  const usage = {
    promptTokens: prompt,
    completionTokens: completion,
    totalTokens: prompt + completion,
    cachedTokens: cached,
  }
  if (text.trim() === '') throw new ModelError('unusable_answer', 'The model answered with nothing.', usage)
  return { text, usage, isComplete: finishReason === 'stop' }
}
