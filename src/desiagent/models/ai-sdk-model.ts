import type { JSONObject, LanguageModelV4 } from '@ai-sdk/provider'
import { generateText, jsonSchema, type LanguageModelUsage, NoObjectGeneratedError, Output } from 'ai'
import type { Model, ModelAnswer, ModelRequest } from './model.ts'
import { asModelError } from './sdk-failures.ts'
import { streamAnswer } from './streamed-answer.ts'
import { type Counted, usableAnswer } from './usable-answer.ts'

// The SDK prints what a model does not support (a reasoning model's temperature) on the console, at every call.
Object.assign(globalThis, { AI_SDK_LOG_WARNINGS: false })

type Identity = Pick<Model, 'provider' | 'id' | 'cost' | 'priceVersion'>

/** One of the AI SDK's models as ours: no retries of its own, failures told apart, usage always there. */
export function aiSdkModel(model: LanguageModelV4, identity: Identity): Model {
  return {
    ...identity,
    async generate(request) {
      const settings = settingsOf(identity.provider, request)
      const isStreamed = request.onText !== undefined && request.output === undefined
      try {
        return isStreamed ? await streamAnswer(model, request, settings) : await generate(model, request, settings)
      } catch (error) {
        throw asModelError(error, request.signal)
      }
    },
  }
}

/** What is sent beside the prompt, in the SDK's words; the same whether the answer is streamed or not. */
export type CallSettings = ReturnType<typeof settingsOf>

function settingsOf(provider: string, request: ModelRequest) {
  return {
    abortSignal: request.signal,
    // A task's id may have any letters; a header may not.
    headers: { 'Idempotency-Key': encodeURI(request.idempotencyKey.toWellFormed()) },
    providerOptions: providerOptions(provider, request),
    ...(request.temperature === undefined ? {} : { temperature: request.temperature }),
    ...(request.topP === undefined ? {} : { topP: request.topP }),
    ...(request.maxTokens === undefined ? {} : { maxOutputTokens: request.maxTokens }),
    ...(request.seed === undefined ? {} : { seed: request.seed }),
  }
}

function providerOptions(provider: string, request: ModelRequest): Record<string, JSONObject> {
  if (provider === 'offline') return { offline: { task: request.task } }
  // Strict mode forbids free-form objects, and a task's params are one; our own validator is stricter anyway.
  if (provider === 'openai') return { openai: { strictJsonSchema: false } }
  return {}
}

async function generate(model: LanguageModelV4, request: ModelRequest, settings: CallSettings): Promise<ModelAnswer> {
  const { output, instructions } = request
  const messages = request.messages.map((content) => ({ role: 'user' as const, content }))
  const call = { ...settings, model, instructions, messages, maxRetries: 0 }
  try {
    const answer = output
      ? await generateText({
          ...call,
          output: Output.object({ schema: jsonSchema(output.schema), name: output.name }),
        })
      : await generateText(call)
    return usableAnswer(answer.text, countedIn(answer.usage), answer.finishReason)
  } catch (error) {
    // Text that is no JSON is still an answer, with its price; what to make of it is the caller's business.
    if (!NoObjectGeneratedError.isInstance(error)) throw error
    return usableAnswer(error.text ?? '', countedIn(error.usage), error.finishReason)
  }
}

function countedIn(usage: LanguageModelUsage | undefined): Counted {
  return {
    prompt: usage?.inputTokens,
    cached: usage?.inputTokenDetails?.cacheReadTokens,
    completion: usage?.outputTokens,
  }
}
