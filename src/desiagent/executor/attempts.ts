import type { Log } from '#ports/log.ts'
import { pauseBeforeRetry, type RetryPolicy } from '../models/retry.ts'
import { classify, type Failure } from './failure.ts'

export type Attempted<T> = { ok: true; value: T } | { ok: false; failure: Failure }

/**
 * Tries a piece of work until it succeeds, fails for good, or has failed `maxAttempts` times for passing reasons.
 *
 * @param onRetry  told of each failure that is followed by another attempt, before the pause
 */
export async function attempt<T>(
  policy: RetryPolicy,
  stop: AbortSignal,
  log: Log,
  work: () => Promise<T>,
  onRetry: (failure: Failure) => Promise<void>,
): Promise<Attempted<T>> {
  for (let failed = 1; ; failed += 1) {
    try {
      return { ok: true, value: await work() }
    } catch (error) {
      const failure = classify(error, stop, log)
      if (failure.kind !== 'passing' || failed >= policy.maxAttempts) return { ok: false, failure }
      await onRetry(failure)
      await pauseBeforeRetry(policy, failed, failure.retryAfterMs, stop)
      if (stop.aborted) return { ok: false, failure: classify(error, stop, log) }
    }
  }
}
