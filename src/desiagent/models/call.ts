import type { ModelCallMeasure } from '#ports/metrics.ts'
import { type Bound, type Charge, mostChargedFor, NOTHING_CHARGED } from '../limits/budget.ts'
import type { SharedParts } from '../parts.ts'
import { NO_USAGE, type TokenUsage } from '../usage.ts'
import { type Model, type ModelAnswer, ModelError, type ModelErrorCode, type ModelRequest } from './model.ts'

/** What a call may use at most, as far as that can be told before it is made. */
export interface CallEstimate {
  /** Of all that is sent: instructions, messages and the shape the answer should have. */
  promptCharacters: number
  /** No more tokens than bytes, and what frames the messages. Counted only when it is asked for. */
  promptTokensAtMost(): number
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

/** An admission with what the limits of the execution say. */
export interface Leave extends Admission {
  /** What was set aside of the limits; null: they bound nothing. */
  bound: Bound | null
  /** Who let it in with a shorter answer than was wanted. */
  squeezedBy: 'quota' | 'limit' | null
  /** Gives back what was set aside of the limits. @param charge  what counts instead */
  settle(charge: Charge): void
}

/** Asked before each call. @throws when it is not let in; nothing is set aside then */
export type AskLeave = (model: Model, estimate: CallEstimate) => Promise<Leave>

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
  /** What was set aside for the call of the tenant's quota. */
  reservationId: string | null
  /** What was set aside for it of the execution's limits, and what counts instead; also without limits, which may come. */
  settlement: { released: Charge; charged: Charge } | null
}

export type CallOutcome =
  | { ok: true; answer: ModelAnswer; call: CallRecord }
  | { ok: false; error: ModelError; call: CallRecord }

/**
 * Calls a model, at most for `timeoutMs`, and says in any case what it cost. Whoever is told must record it: that gives
 * back what was set aside, also for a call that was stopped before it was made.
 *
 * @throws what `askLeave` throws; no call was made then, and nothing is set aside
 */
export async function callModel(
  { now, metrics, settings }: Pick<SharedParts, 'now' | 'metrics' | 'settings'>,
  model: Model,
  request: ModelRequest,
  timeoutMs: number,
  askLeave: AskLeave,
): Promise<CallOutcome> {
  const estimate: CallEstimate = {
    promptCharacters: charactersOf(request),
    promptTokensAtMost: () => tokensAtMost(request),
    maxTokens: request.maxTokens,
    timeoutMs: Math.max(timeoutMs, settings.stepTimeoutMs),
    signal: request.signal,
  }
  const leave = await askLeave(model, estimate)
  const { reservationId, maxTokens, squeezedBy } = leave
  const startedAt = now()
  const timeout = AbortSignal.timeout(timeoutMs)
  const record = (usage: TokenUsage | null, errorCode: ModelErrorCode | null): CallRecord => {
    const call = recordOf(usage, errorCode)
    if (call.settlement) leave.settle(call.settlement.charged)
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
    settlement: {
      released: leave.bound ?? NOTHING_CHARGED,
      charged: chargeOf(model, usage, () => leave.bound ?? mostChargedFor(model, estimate)),
    },
  })
  try {
    if (request.signal.aborted) throw new ModelError('aborted', 'The call was stopped before it was made.', NO_USAGE)
    const signal = AbortSignal.any([request.signal, timeout])
    const answer = await model.generate({ ...request, maxTokens, signal })
    if (squeezedBy && !answer.isComplete) throw tooFewTokens(squeezedBy, answer.usage)
    return { ok: true, answer, call: record(answer.usage, null) }
  } catch (thrown) {
    if (!isTold(thrown, timeout)) leave.settle(leave.bound ?? NOTHING_CHARGED) // nobody will record it
    const told = asModelError(thrown, timeout, request.signal, timeoutMs)
    const error = squeezedBy && BLAMED_ON_LENGTH.has(told.code) ? tooFewTokens(squeezedBy, told.usage) : told
    return { ok: false, error, call: record(error.usage, error.code) }
  }
}

/** What a model may do that is let answer with too few tokens: say nothing, or refuse to be bounded like that. */
const BLAMED_ON_LENGTH: ReadonlySet<ModelErrorCode> = new Set(['unusable_answer', 'bad_request'])

function tooFewTokens(squeezedBy: 'quota' | 'limit', usage: TokenUsage | null): ModelError {
  const [code, whose] =
    squeezedBy === 'quota'
      ? (['tokens_exhausted', 'the quota leaves'] as const)
      : (['limit_reached', 'the limits of the execution leave'] as const)
  return new ModelError(code, `The tokens that ${whose} are too few for a whole answer.`, usage)
}

function charactersOf({ instructions, messages, output }: ModelRequest): number {
  const shape = output ? JSON.stringify(output.schema).length : 0
  return messages.reduce((sum, message) => sum + message.length, instructions.length + shape)
}

/** What frames a message, and a conversation, in the tokens that providers count. */
const FRAME_OF_MESSAGE = 16
const FRAME_OF_CALL = 64

/** Tokenizers that fall back on bytes, as all of our providers' do, make at most one token of each. */
function tokensAtMost({ instructions, messages, output }: ModelRequest): number {
  const shape = output ? JSON.stringify(output) : ''
  const encoder = new TextEncoder()
  const bytes = [instructions, shape, ...messages].reduce((sum, text) => sum + encoder.encode(text).byteLength, 0)
  return bytes + (messages.length + 1) * FRAME_OF_MESSAGE + FRAME_OF_CALL
}

/** Where nobody knows what was used, the most it can have been: a limit must hold all the same. */
function chargeOf(model: Model, usage: TokenUsage | null, most: () => Charge): Charge {
  if (usage === NO_USAGE) return NOTHING_CHARGED
  if (usage !== null && usage.totalTokens > 0) {
    return { tokens: usage.totalTokens, costUsdMicros: model.cost(usage) ?? most().costUsdMicros }
  }
  const { tokens, costUsdMicros } = most()
  return { tokens, costUsdMicros }
}

/** A provider that refused counted nothing; one that answered and did not say what it counted leaves the cost unknown. */
function costOf(model: Model, usage: TokenUsage | null): number | null {
  if (usage === NO_USAGE) return 0
  return usage === null || usage.totalTokens === 0 ? null : model.cost(usage)
}

function isTold(thrown: unknown, timeout: AbortSignal): boolean {
  return thrown instanceof ModelError || timeout.aborted
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
