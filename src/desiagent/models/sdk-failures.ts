import { AISDKError, APICallError, LoadAPIKeyError } from '@ai-sdk/provider'
import { NO_USAGE } from '../usage.ts'
import { ModelError } from './model.ts'

/**
 * What the AI SDK throws before it sends anything: the same call fails in the same way each time. By name, because not
 * every one of these classes has an `isInstance` of its own, and what they inherit is true of any.
 */
const BEFORE_SENDING: ReadonlySet<string> = new Set([
  'AI_InvalidArgumentError',
  'AI_InvalidDataContentError',
  'AI_InvalidMessageRoleError',
  'AI_InvalidPromptError',
  'AI_LoadSettingError',
  'AI_MessageConversionError',
  'AI_NoSuchModelError',
  'AI_NoSuchProviderError',
  'AI_UnsupportedFunctionalityError',
  'AI_UnsupportedModelVersionError',
])

/** What an error of the AI SDK, of a provider or of the network means to whoever called the model. */
export function asModelError(error: unknown, signal: AbortSignal): ModelError {
  if (error instanceof ModelError) return error
  if (signal.aborted) return new ModelError('aborted', 'The call was stopped.', null)
  if (APICallError.isInstance(error)) return ofCall(error)
  if (AISDKError.isInstance(error)) return ofSdk(error)
  if (isOfNetwork(error)) return cut()
  if (isUnreadFrame(error)) return unreadable()
  // Nobody's answer and no broken connection: a defect, here or in the SDK. Repeating it would only repeat it.
  const name = error instanceof Error ? error.name : typeof error
  return new ModelError('bad_request', `The call of the model failed unexpectedly (${name}).`, null)
}

/** What a provider says went wrong in the midst of a stream, whose status had already said that all is well. */
export function ofFrame(frame: unknown): ModelError {
  const { statusCode, code, type } = (frame ?? {}) as { statusCode?: unknown; code?: unknown; type?: unknown }
  const words = [code, type].filter((word) => typeof word === 'string').join(' ')
  const status = [statusCode, code].map(Number).find((number) => number >= 400 && number <= 599)
  const isOutOfQuota = /insufficient_quota|billing/.test(words)
  return refused(status ?? statusOf(words), { isOutOfQuota, retryAfterMs: undefined })
}

function statusOf(words: string): number {
  if (words.includes('rate_limit')) return 429
  return /invalid|context_length/.test(words) ? 400 : 500
}

/** The Anthropic adapter takes a first chunk that it cannot read for an error that somebody forgot to translate. */
function isUnreadFrame(error: unknown): boolean {
  return error instanceof Error && error.message === 'Expected a normalized Anthropic stream error'
}

/** The request was made, and went wrong on its way, at the provider, or on its way back. */
function ofCall(error: APICallError): ModelError {
  const { statusCode, cause } = error
  if (statusCode === undefined) return new ModelError('cut', 'The model provider could not be reached.', null)
  if (statusCode >= 300) {
    const retryAfterMs = retryAfter(error.responseHeaders)
    return refused(statusCode, { isOutOfQuota: isOutOfQuota(error), retryAfterMs })
  }
  return isOfNetwork(cause) ? cut() : unreadable()
}

/** An error of the SDK that is not about a call is about what goes into one, or about what came out. */
function ofSdk(error: AISDKError): ModelError {
  if (LoadAPIKeyError.isInstance(error))
    return new ModelError('key_refused', 'There is no key for the model provider.', NO_USAGE)
  if (BEFORE_SENDING.has(error.name))
    return new ModelError('bad_request', `The model cannot be asked this (${error.name}).`, NO_USAGE)
  return unreadable()
}

export function unreadable(): ModelError {
  return new ModelError('unusable_answer', 'The model answered with something that cannot be read.', null)
}

export function cut(): ModelError {
  return new ModelError('cut', 'The connection to the model broke.', null)
}

// Node's and its fetch's codes (ECONNRESET, EAI_AGAIN, UND_ERR_SOCKET); `ERR_…` are wrong arguments.
const NETWORK_CODE = /^(E[A-Z]+|EAI_[A-Z]+|UND_ERR_(SOCKET|ABORTED|[A-Z]+_TIMEOUT|RES_[A-Z_]+))$/
const NETWORK_NAMES = ['AbortError', 'ResponseAborted', 'TimeoutError']
const NETWORK_MESSAGES = ['fetch failed', 'failed to fetch', 'terminated', 'network connection lost.']

/** Told by code where there is one; browsers and Workers have only the words of the message. */
function isOfNetwork(error: unknown): boolean {
  for (let current = error, depth = 0; current instanceof Error && depth < 5; current = current.cause, depth += 1) {
    const { code } = current as { code?: unknown }
    if (typeof code === 'string' && NETWORK_CODE.test(code)) return true
    if (NETWORK_NAMES.includes(current.name) || NETWORK_MESSAGES.includes(current.message.toLowerCase())) return true
  }
  return false
}

interface Refusal {
  isOutOfQuota: boolean
  retryAfterMs: number | undefined
}

/** The provider answered with an error: nothing was counted. */
function refused(statusCode: number, { isOutOfQuota, retryAfterMs }: Refusal): ModelError {
  if (statusCode === 401 || statusCode === 403)
    return new ModelError('key_refused', 'The model provider refused our key.', NO_USAGE)
  if (statusCode === 402 || isOutOfQuota) {
    return new ModelError('quota_exhausted', 'The account at the model provider is used up.', NO_USAGE)
  }
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
