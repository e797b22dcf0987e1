import type { ClientRateLimitInfo, Store } from 'hono-rate-limiter'
import type { Env } from './env.ts'

const SWEEP_EVERY = 10_000

/**
 * An exact sliding window in memory: never more than `limit` calls in any stretch of `windowMs`, at no matter which
 * edge. A refused call is not recorded, so a caller that keeps trying still gets through when its time has come.
 * The key carries the limit (see `windowKey`), because the store's contract has no other place for it; calls are
 * remembered without it, so that a changed limit does not begin anew.
 */
export class SlidingWindow implements Store<Env> {
  readonly #windowMs: number
  readonly #now: () => number
  readonly #calls = new Map<string, number[]>()
  #untilSweep = SWEEP_EVERY

  constructor(windowMs: number, now: () => number) {
    this.#windowMs = windowMs
    this.#now = now
  }

  increment(key: string): ClientRateLimitInfo {
    const now = this.#now()
    const limit = Number(key.slice(0, key.indexOf(':')))
    const calls = this.#current(subjectOf(key), now)
    const isAllowed = calls.length < limit
    if (isAllowed) calls.push(now)
    this.#sweepNowAndThen(now)
    // The call whose place comes free first; after a limit was lowered that is not the oldest. With a limit of 0 there is
    // no call to wait for: a whole window says "not soon".
    const next = isAllowed ? calls[0] : calls[calls.length - limit]
    const resetTime = new Date((next ?? now) + this.#windowMs)
    return { totalHits: isAllowed ? calls.length : limit + 1, resetTime }
  }

  /** How many calls count now, and when the oldest of them is forgotten. Counts nothing. */
  peek(key: string): { used: number; resetAt: Date | null } {
    const since = this.#now() - this.#windowMs
    const calls = (this.#calls.get(subjectOf(key)) ?? []).filter((at) => at > since)
    const [oldest] = calls
    return { used: calls.length, resetAt: oldest === undefined ? null : new Date(oldest + this.#windowMs) }
  }

  /** Takes back the latest call. */
  decrement(key: string): void {
    this.#calls.get(subjectOf(key))?.pop()
  }

  resetKey(key: string): void {
    this.#calls.delete(subjectOf(key))
  }

  #current(subject: string, now: number): number[] {
    const known = this.#calls.get(subject)
    if (!known) {
      const calls: number[] = []
      this.#calls.set(subject, calls)
      return calls
    }
    let passed = 0
    while (passed < known.length && (known[passed] as number) <= now - this.#windowMs) passed += 1
    if (passed > 0) known.splice(0, passed)
    return known
  }

  /** Forgets callers that stopped calling; no timer, because a Worker allows none outside a request. */
  #sweepNowAndThen(now: number): void {
    this.#untilSweep -= 1
    if (this.#untilSweep > 0) return
    this.#untilSweep = SWEEP_EVERY
    for (const [key, calls] of this.#calls) {
      if ((calls.at(-1) ?? 0) <= now - this.#windowMs) this.#calls.delete(key)
    }
  }
}

export function windowKey(limit: number, subject: string): string {
  return `${limit}:${subject}`
}

function subjectOf(key: string): string {
  return key.slice(key.indexOf(':') + 1)
}
