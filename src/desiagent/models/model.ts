import type { TokenUsage } from '../usage.ts'

/** What a call is for. Passed on to the offline model only (`providerOptions.offline.task`); others read the messages. */
export type ModelTask = 'plan' | 'title' | 'answer' | 'synthesis'

export interface ModelRequest {
  task: ModelTask
  /** Who asks; for the ledger, not for the model. */
  agentName: string
  /** The agent's system prompt. */
  instructions: string
  /** User messages, in order. */
  messages: readonly string[]
  /** Asks for one JSON object of this shape; the caller validates it. */
  output?: { name: string; schema: Record<string, unknown> }
  temperature?: number | undefined
  topP?: number | undefined
  maxTokens?: number | undefined
  seed?: number | undefined
  /** The same for every repetition of the same piece of work; sent as `Idempotency-Key`. */
  idempotencyKey: string
  signal: AbortSignal
  /** Told of each piece of the answer as it comes. Never for a structured answer. */
  onText?: ((piece: string) => void) | undefined
}

export interface ModelAnswer {
  text: string
  usage: TokenUsage
  /** False when the model stopped for its length limit or a content filter. */
  isComplete: boolean
}

/** One model of one provider. */
export interface Model {
  readonly provider: string
  readonly id: string
  /** @throws ModelError */
  generate(request: ModelRequest): Promise<ModelAnswer>
  /** Micro-USD for this usage, or null when the price is not known. */
  cost(usage: TokenUsage): number | null
  readonly priceVersion: string
}

/**
 * Why a call gave nothing to use.
 * - `rate_limited`, `server_error`, `cut`, `timeout`, `unusable_answer` pass: the same call may succeed later.
 * - `key_refused`, `quota_exhausted` (the provider's account), `tokens_exhausted` and `limit_reached` (our quota, or the
 *   execution's limits, left too few for a whole answer) are for a person to cure.
 * - `bad_request` will fail again; `aborted` is our own doing.
 */
export type ModelErrorCode =
  | 'rate_limited'
  | 'server_error'
  | 'cut'
  | 'timeout'
  | 'unusable_answer'
  | 'key_refused'
  | 'quota_exhausted'
  | 'tokens_exhausted'
  | 'limit_reached'
  | 'bad_request'
  | 'aborted'

export class ModelError extends Error {
  readonly code: ModelErrorCode
  /** What the provider counted: `NO_USAGE` when it refused. Null: it may have charged for something we do not know. */
  readonly usage: TokenUsage | null
  readonly retryAfterMs: number | undefined

  constructor(code: ModelErrorCode, message: string, usage: TokenUsage | null, retryAfterMs?: number) {
    super(message)
    this.name = 'ModelError'
    this.code = code
    this.usage = usage
    this.retryAfterMs = retryAfterMs
  }

  get isPassing(): boolean {
    return PASSING.has(this.code)
  }
}

const PASSING: ReadonlySet<ModelErrorCode> = new Set([
  'rate_limited',
  'server_error',
  'cut',
  'timeout',
  'unusable_answer',
])
