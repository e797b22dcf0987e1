import type { ModelCallMeasure } from '#ports/metrics.ts'
import type { SharedParts } from '../parts.ts'
import { NO_USAGE, type TokenUsage } from '../usage.ts'
import { type Model, type ModelAnswer, ModelError, type ModelErrorCode, type ModelRequest } from './model.ts'

/** What a call may use at most, as far as that can be told before it is made. */
export interface CallEstimate {
  /** Of all that is sent: instructions, messages and the shape the answer should have. */
  promptCharacters: number
  /** The longest answer that is wanted; undefined: as long as the model makes it. */
  maxTokens: number | undefined
  /** How long it may be until the call is recorded. */
  timeoutMs: number
  /** Aborts when the call is wanted no more. */
  signal: AbortSignal
}

/** The leave to make a call. */
export interface Admission {
  /** What was set aside for it; named again where the call is recorded, which gives it back. Null: nothing was. */
  reservationId: string | null
  /** The longest answer the call may ask for; undefined: as long as the model makes it. */
  maxTokens: number | undefined
}

/** What one call of a model cost, whatever came of it. One row of the ledger. */
export interface CallRecord {
  agentName: string | null
  provider: string
  model: string
  usage: TokenUsage
  /** Null: not known (no price, or the connection broke before the provider said what it counted). */
  costUsdMicros: number | null
  priceVersion: string
  errorCode: ModelErrorCode | null
  durationMs: number
  createdAt: string
  /** What was set aside for the call. */
  reservationId: string | null
}

export type CallOutcome =
  | { ok: true; answer: ModelAnswer; call: CallRecord }
  | { ok: false; error: ModelError; call: CallRecord }

/**
 * Calls a model, at most for `timeoutMs`, and says in any case what it cost. Whoever is told must record it: that gives
 * back what was set aside, also for a call that was stopped before it was made.
 *
 * @param reserve  sets tokens aside for the call
 * @throws what `reserve` throws; no call was made then, and nothing is set aside
 */
export async function callModel(
  { now, metrics, settings }: Pick<SharedParts, 'now' | 'metrics' | 'settings'>,
  model: Model,
  request: ModelRequest,
  timeoutMs: number,
  reserve: (estimate: CallEstimate) => Promise<Admission>,
): Promise<CallOutcome> {
  const { reservationId, maxTokens } = await reserve({
    promptCharacters: charactersOf(request),
    maxTokens: request.maxTokens,
    timeoutMs: Math.max(timeoutMs, settings.stepTimeoutMs),
    signal: request.signal,
  })
  const isSqueezed = maxTokens !== request.maxTokens
  const startedAt = now()
  const timeout = AbortSignal.timeout(timeoutMs)
  const record = (usage: TokenUsage | null, errorCode: ModelErrorCode | null): CallRecord => {
    const call = recordOf(usage, errorCode)
    metrics.modelCall(measureOf(call))
    return call
  }
  const recordOf = (usage: TokenUsage | null, errorCode: ModelErrorCode | null): CallRecord => ({
    agentName: request.agentName,
    provider: model.provider,
    model: model.id,
    usage: usage ?? NO_USAGE,
    costUsdMicros: costOf(model, usage),
    priceVersion: model.priceVersion,
    errorCode,
    durationMs: now().getTime() - startedAt.getTime(),
    createdAt: startedAt.toISOString(),
    reservationId,
  })
  try {
    if (request.signal.aborted) throw new ModelError('aborted', 'The call was stopped before it was made.', NO_USAGE)
    const signal = AbortSignal.any([request.signal, timeout])
    const answer = await model.generate({ ...request, maxTokens, signal })
    if (isSqueezed && !answer.isComplete) throw tooFewTokens(answer.usage)
    return { ok: true, answer, call: record(answer.usage, null) }
  } catch (thrown) {
    const told = asModelError(thrown, timeout, request.signal, timeoutMs)
    const error = isSqueezed && BLAMED_ON_LENGTH.has(told.code) ? tooFewTokens(told.usage) : told
    return { ok: false, error, call: record(error.usage, error.code) }
  }
}

/** What a model may do that is let answer with too few tokens: say nothing, or refuse to be bounded like that. */
const BLAMED_ON_LENGTH: ReadonlySet<ModelErrorCode> = new Set(['unusable_answer', 'bad_request'])

function tooFewTokens(usage: TokenUsage | null): ModelError {
  return new ModelError('tokens_exhausted', 'The tokens that the quota leaves are too few for a whole answer.', usage)
}

function charactersOf({ instructions, messages, output }: ModelRequest): number {
  const shape = output ? JSON.stringify(output.schema).length : 0
  return messages.reduce((sum, message) => sum + message.length, instructions.length + shape)
}

/** A provider that refused counted nothing; one that answered and did not say what it counted leaves the cost unknown. */
function costOf(model: Model, usage: TokenUsage | null): number | null {
  if (usage === NO_USAGE) return 0
  return usage === null || usage.totalTokens === 0 ? null : model.cost(usage)
}

function asModelError(thrown: unknown, timeout: AbortSignal, stop: AbortSignal, timeoutMs: number): ModelError {
  if (timeout.aborted && !stop.aborted)
    return new ModelError('timeout', `The model gave no answer within ${timeoutMs} ms.`, null)
  if (thrown instanceof ModelError) return thrown
  throw thrown
}

function measureOf({ provider, model, errorCode, durationMs, usage }: CallRecord): ModelCallMeasure {
  const { promptTokens, completionTokens, cachedTokens } = usage
  const outcome = errorCode ?? 'ok'
  return { provider, model, outcome, seconds: durationMs / 1000, promptTokens, completionTokens, cachedTokens }
}
