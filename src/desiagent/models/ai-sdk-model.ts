import { APICallError, type JSONObject, type LanguageModelV4 } from '@ai-sdk/provider'
import { generateText, jsonSchema, type LanguageModelUsage, NoObjectGeneratedError, Output } from 'ai'
import { NO_USAGE, type TokenUsage } from '../usage.ts'
import { type Model, type ModelAnswer, ModelError, type ModelRequest } from './model.ts'

// The SDK prints what a model does not support (a reasoning model's temperature) on the console, at every call.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false })

type Identity = Pick<Model, 'provider' | 'id' | 'cost' | 'priceVersion'>

/** One of the AI SDK's models as ours: no retries of its own, failures told apart, usage always there. */
export function aiSdkModel(model: LanguageModelV4, identity: Identity): Model {
  return {
    ...identity,
    async generate(request) {
      try {
        return await generate(model, identity.provider, request)
      } catch (error) {
        throw asModelError(error, request.signal)
      }
    },
  }
}

async function generate(model: LanguageModelV4, provider: string, request: ModelRequest): Promise<ModelAnswer> {
  const { output } = request
  const settings = {
    model,
    instructions: request.instructions,
    messages: request.messages.map((content) => ({ role: 'user' as const, content })),
    maxRetries: 0,
    abortSignal: request.signal,
    // A task's id may have any letters; a header may not.
    headers: { 'Idempotency-Key': encodeURI(request.idempotencyKey.toWellFormed()) },
    providerOptions: providerOptions(provider, request),
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    ...(request.topP === undefined ? {} : { topP: request.topP }),
    ...(request.maxTokens === undefined ? {} : { maxOutputTokens: request.maxTokens }),
    ...(request.seed === undefined ? {} : { seed: request.seed }),
  }
  try {
    const answer = output
      ? await generateText({
          ...settings,
          output: Output.object({ schema: jsonSchema(output.schema), name: output.name }),
        })
      : await generateText(settings)
    return usable(answer.text, answer.usage, answer.finishReason)
  } catch (error) {
    // Text that is no JSON is still an answer, with its price; what to make of it is the caller's business.
    if (!NoObjectGeneratedError.isInstance(error)) throw error
    return usable(error.text ?? '', error.usage, error.finishReason)
  }
}

function usable(text: string, usage: LanguageModelUsage | undefined, finishReason: string | undefined): ModelAnswer {
  const counted = toUsage(usage)
  if (text.trim() === '') throw new ModelError('unusable_answer', 'The model answered with nothing.', counted)
  return { text, usage: counted, isComplete: finishReason === 'stop' }
}

function providerOptions(provider: string, request: ModelRequest): Record<string, JSONObject> {
  if (provider === 'offline') return { offline: { task: request.task } }
  // Strict mode forbids free-form objects, and a task's params are one; our own validator is stricter anyway.
  if (provider === 'openai') return { openai: { strictJsonSchema: false } }
  return {}
}

function toUsage(usage: LanguageModelUsage | undefined): TokenUsage {
  const promptTokens = usage?.inputTokens ?? 0
  const completionTokens = usage?.outputTokens ?? 0
  const cachedTokens = usage?.inputTokenDetails?.cacheReadTokens ?? 0
  return { promptTokens, completionTokens, totalTokens: promptTokens + completionTokens, cachedTokens }
}

function asModelError(error: unknown, signal: AbortSignal): ModelError {
  if (error instanceof ModelError) return error
  if (signal.aborted) return new ModelError('aborted', 'The call was stopped.', null)
  if (!APICallError.isInstance(error)) return new ModelError('cut', 'The connection to the model broke.', null)
  const { statusCode } = error
  if (statusCode === undefined) return new ModelError('cut', 'The model provider could not be reached.', null)
  if (statusCode < 300)
    return new ModelError('unusable_answer', 'The model answered with something that cannot be read.', null)
  return refused(error, statusCode)
}

/** The provider answered with an error: nothing was counted. */
function refused(error: APICallError, statusCode: number): ModelError {
  if (statusCode === 401 || statusCode === 403)
    return new ModelError('key_refused', 'The model provider refused our key.', NO_USAGE)
  if (statusCode === 402 || isOutOfQuota(error)) {
    return new ModelError('quota_exhausted', 'The account at the model provider is used up.', NO_USAGE)
  }
  const retryAfterMs = retryAfter(error.responseHeaders)
  if (statusCode === 429)
    return new ModelError('rate_limited', 'The model provider is limiting our calls.', NO_USAGE, retryAfterMs)
  if (statusCode >= 500 || statusCode === 408) {
    return new ModelError(
      'server_error',
      `The model provider failed with status ${statusCode}.`,
      NO_USAGE,
      retryAfterMs,
    )
  }
  return new ModelError('bad_request', `The model provider refused the request with status ${statusCode}.`, NO_USAGE)
}

/** OpenAI answers 429 both for "slow down" and for "pay first"; only the code tells them apart. */
function isOutOfQuota(error: APICallError): boolean {
  return error.statusCode === 429 && (error.responseBody ?? '').includes('insufficient_quota')
}

function retryAfter(headers: Record<string, string> | undefined): number | undefined {
  const seconds = Number(headers?.['retry-after'] ?? Number.NaN)
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined
}
