import { sleep } from '#kit/time.ts'

const LONGEST_PAUSE_MS = 30_000

export interface RetryPolicy {
  maxAttempts: number
  retryBaseMs: number
}

/** Waits before the next attempt: doubling with jitter, or as long as the provider asked, at most half a minute. */
export function pauseBeforeRetry(
  policy: RetryPolicy,
  failed: number,
  askedMs: number | undefined,
  signal: AbortSignal,
): Promise<void> {
  const doubled = policy.retryBaseMs * 2 ** (failed - 1)
  const jittered = doubled * (0.75 + Math.random() / 2)
  return sleep(Math.min(askedMs ?? jittered, LONGEST_PAUSE_MS), signal)
}
