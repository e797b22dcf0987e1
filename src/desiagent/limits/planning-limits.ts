import type { Clock } from '#kit/time.ts'
import type { PlannedWithin } from '../executor/start.ts'
import { type ExecutionLimits, LONGEST_TIMER_MS } from '../limits.ts'
import type { ModelError } from '../models/model.ts'
import { Budget, limitReached, NOTHING_CHARGED } from './budget.ts'

/** The limits of an execution while its goal is planned: what planning takes of them is not there for the execution. */
export class PlanningLimits {
  readonly budget: Budget
  readonly #limits: ExecutionLimits
  readonly #now: Clock
  readonly #beganMs: number
  readonly #timeUp: AbortSignal | null

  constructor(limits: ExecutionLimits | null, now: Clock) {
    this.#limits = limits ?? {}
    this.budget = new Budget(limits, NOTHING_CHARGED)
    this.#now = now
    this.#beganMs = now().getTime()
    const { maxWallMs = Number.POSITIVE_INFINITY } = this.#limits
    this.#timeUp = maxWallMs > LONGEST_TIMER_MS ? null : AbortSignal.timeout(maxWallMs)
  }

  /** Aborts with `stop`, and when the time is up. */
  until(stop: AbortSignal): AbortSignal {
    return this.#timeUp ? AbortSignal.any([stop, this.#timeUp]) : stop
  }

  /** @throws LimitReached when it was the limits that ended planning with this error */
  assertNotTheCause({ code }: ModelError): void {
    const { maxWallMs = 0 } = this.#limits
    if (this.#timeUp?.aborted) throw limitReached('maxWallMs', maxWallMs, this.taken().wallMs, 'planning has not ended')
    if (code === 'limit_reached') throw this.#cutShort()
  }

  taken(): PlannedWithin {
    return { ...this.budget.charged, wallMs: this.#now().getTime() - this.#beganMs }
  }

  /** Of two limits, the one of which more is used. */
  #cutShort(): Error {
    const { tokens, costUsdMicros } = this.taken()
    const { maxTokens = Number.POSITIVE_INFINITY, maxCostUsdMicros = Number.POSITIVE_INFINITY } = this.#limits
    const why = 'the plan needs a longer answer'
    return tokens / maxTokens >= costUsdMicros / maxCostUsdMicros
      ? limitReached('maxTokens', maxTokens, tokens, why)
      : limitReached('maxCostUsdMicros', maxCostUsdMicros, costUsdMicros, why)
  }
}
