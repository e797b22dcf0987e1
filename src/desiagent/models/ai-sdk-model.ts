import type { JSONObject, LanguageModelV4 } from '@ai-sdk/provider'
import { generateText, jsonSchema, type LanguageModelUsage, NoObjectGeneratedError, Output } from 'ai'
import type { TokenUsage } from '../usage.ts'
import { type Model, type ModelAnswer, ModelError, type ModelRequest } from './model.ts'
import { asModelError } from './sdk-failures.ts'

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
