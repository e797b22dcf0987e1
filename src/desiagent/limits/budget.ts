import { LimitReached, UnpricedModel } from '../errors.ts'
import type { ExecutionLimits } from '../limits.ts'
import type { CallEstimate } from '../models/call.ts'
import type { Model } from '../models/model.ts'
import { NO_USAGE } from '../usage.ts'

/** Of tokens and micro-USD. */
export interface Charge {
  tokens: number
  costUsdMicros: number
}

/** What is set aside for a call: the most it can use, if its answer is bounded like this. */
export interface Bound extends Charge {
  maxTokens: number
  /** True when a longer answer was wanted. */
  isSqueezed: boolean
}

export interface Wish {
  /** Aborts when the call is wanted no more. */
  signal: AbortSignal
  /** No prompt has more tokens than bytes, apart from what frames its messages. */
  promptTokensAtMost: number
  /** The longest answer that is wanted; undefined: as long as the model makes it. */
  maxTokens: number | undefined
}

/** For an answer whose length nobody bounded: as long as most models make one at all. */
const LONGEST_ANSWER_TOKENS = 16_384
/** With room for so much it does not wait for what calls in flight may give back: few answers are longer. */
const USUAL_ANSWER_TOKENS = 4_096
/** With less a call is not worth its prompt, and some providers refuse to be bounded by so little. */
const LEAST_ANSWER_TOKENS = 256

export const NOTHING_CHARGED: Charge = { tokens: 0, costUsdMicros: 0 }

/**
 * What is left of an execution's limits on tokens and money. A call is let in only with the most it can use, so that
 * whatever comes of it the limits are not passed; what it did not use is free again when it has ended. All calls of an
 * execution are made by one process, which is why this can be counted in memory.
 */
export class Budget {
  readonly limits: ExecutionLimits
  #charged: Charge
  #reserved: Charge = NOTHING_CHARGED
  #settled = Promise.withResolvers<void>()

  constructor(limits: ExecutionLimits | null, charged: Charge) {
    this.limits = limits ?? {}
    this.#charged = charged
  }

  /** True when no call is bounded. */
  get isUnbounded(): boolean {
    return this.limits.maxTokens === undefined && this.limits.maxCostUsdMicros === undefined
  }

  get charged(): Charge {
    return this.#charged
  }

  /**
   * Sets aside what a call can use at most. Waits for calls in flight while what they may give back is needed.
   *
   * @throws LimitReached when too little is left for an answer, UnpricedModel when money is limited and the price unknown
   */
  async reserve(model: Model, wish: Wish): Promise<Bound> {
    for (;;) {
      const bound = this.#boundOf(model, wish)
      const others = this.#reserved.tokens > 0
      if (bound && !(others && isWorthWaiting(bound, wish))) {
        this.#reserved = sum(this.#reserved, bound)
        return bound
      }
      if (!others || wish.signal.aborted) throw this.#reached(model, wish)
      await Promise.race([this.#settled.promise, aborted(wish.signal)])
    }
  }

  /** Ends a reservation. @param charge  what counts instead */
  settle(bound: Charge, charge: Charge): void {
    this.#reserved = difference(this.#reserved, bound)
    this.#charged = sum(this.#charged, charge)
    this.#settled.resolve()
    this.#settled = Promise.withResolvers()
  }

  /** Null when not even a short answer fits. */
  #boundOf(model: Model, { promptTokensAtMost, maxTokens }: Wish): Bound | null {
    const wanted = maxTokens ?? LONGEST_ANSWER_TOKENS
    const answer = longestAnswer(wanted, (tokens) => this.#fits(model, promptTokensAtMost, tokens))
    if (answer < Math.min(wanted, LEAST_ANSWER_TOKENS)) return null
    const costUsdMicros = this.#priceOf(model, promptTokensAtMost, answer)
    return { tokens: promptTokensAtMost + answer, costUsdMicros, maxTokens: answer, isSqueezed: answer < wanted }
  }

  #fits(model: Model, promptTokens: number, answerTokens: number): boolean {
    const { maxTokens = Number.POSITIVE_INFINITY, maxCostUsdMicros = Number.POSITIVE_INFINITY } = this.limits
    const taken = sum(this.#charged, this.#reserved)
    if (taken.tokens + promptTokens + answerTokens > maxTokens) return false
    return taken.costUsdMicros + this.#priceOf(model, promptTokens, answerTokens) <= maxCostUsdMicros
  }

  #priceOf(model: Model, promptTokens: number, completionTokens: number): number {
    if (this.limits.maxCostUsdMicros === undefined) return priceOf(model, promptTokens, completionTokens) ?? 0
    return knownPriceOf(model, promptTokens, completionTokens)
  }

  #reached(model: Model, { promptTokensAtMost, maxTokens = LEAST_ANSWER_TOKENS }: Wish): Error {
    const { maxTokens: limitOfTokens = Number.POSITIVE_INFINITY, maxCostUsdMicros } = this.limits
    const least = promptTokensAtMost + Math.min(maxTokens, LEAST_ANSWER_TOKENS)
    if (this.#charged.tokens + least > limitOfTokens) {
      return limitReached('maxTokens', limitOfTokens, this.#charged.tokens, `the next call may need ${least}`)
    }
    const price = this.#priceOf(model, promptTokensAtMost, Math.min(maxTokens, LEAST_ANSWER_TOKENS))
    const needs = `the next call may cost ${price}`
    return limitReached('maxCostUsdMicros', maxCostUsdMicros ?? 0, this.#charged.costUsdMicros, needs)
  }
}

/** What a call may have used that nobody limited and whose use nobody knows. A price that is not known counts as 0. */
export function mostChargedFor(
  model: Model,
  { promptTokensAtMost, maxTokens = LONGEST_ANSWER_TOKENS }: Pick<CallEstimate, 'promptTokensAtMost' | 'maxTokens'>,
): Charge {
  const promptTokens = promptTokensAtMost()
  return { tokens: promptTokens + maxTokens, costUsdMicros: priceOf(model, promptTokens, maxTokens) ?? 0 }
}

function priceOf(model: Model, promptTokens: number, completionTokens: number): number | null {
  return model.cost({ ...NO_USAGE, promptTokens, completionTokens, totalTokens: promptTokens + completionTokens })
}

/** A call that is let in with less than it may need fails when it needs it. */
function isWorthWaiting({ isSqueezed, maxTokens }: Bound, wish: Wish): boolean {
  return isSqueezed && (wish.maxTokens !== undefined || maxTokens < USUAL_ANSWER_TOKENS)
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
}

/** @throws UnpricedModel */
export function knownPriceOf(model: Model, promptTokens: number, completionTokens: number): number {
  const price = priceOf(model, promptTokens, completionTokens)
  if (price === null) throw new UnpricedModel({ provider: model.provider, model: model.id })
  return price
}

export function limitReached(limit: keyof ExecutionLimits, value: number, used: number, why: string) {
  const message = `The limit ${limit} of ${value} leaves too little to go on: ${used} are used, and ${why}.`
  return new LimitReached({ limit, value, used }, { message })
}

/** The longest that fits, at most `wanted`; what fits shorter fits as well. -1: none does. */
function longestAnswer(wanted: number, fits: (tokens: number) => boolean): number {
  if (fits(wanted)) return wanted
  let [fitting, tooLong] = [-1, wanted]
  while (tooLong - fitting > 1) {
    const middle = Math.floor((fitting + tooLong) / 2)
    if (fits(middle)) fitting = middle
    else tooLong = middle
  }
  return fitting
}

function sum(a: Charge, b: Charge): Charge {
  return { tokens: a.tokens + b.tokens, costUsdMicros: a.costUsdMicros + b.costUsdMicros }
}

function difference(a: Charge, b: Charge): Charge {
  return { tokens: a.tokens - b.tokens, costUsdMicros: a.costUsdMicros - b.costUsdMicros }
}
