import { ValidationFailed } from '#kit/http/errors.ts'
import { ApiKeyTooOld } from './errors.ts'

const DAY_MS = 24 * 60 * 60 * 1000
/** The last moment whose year is written with four digits. */
const LATEST_MS = Date.parse('9999-12-31T23:59:59.999Z')

/**
 * When a new key expires: ISO 8601, always with milliseconds, so that texts compare as moments do.
 *
 * @param wanted      ISO 8601; left out: as late as the tenant lets it
 * @param maxAgeDays  what the tenant allows; null: any age
 * @returns null: never
 * @throws ValidationFailed when it would have expired already, ApiKeyTooOld
 */
export function expiryOfNewKey(wanted: string | undefined, maxAgeDays: number | null, now: Date): string | null {
  if (wanted === undefined) return momentOrNever(latestExpiryMs(maxAgeDays, now))
  const wantedMs = Date.parse(wanted)
  if (wantedMs <= now.getTime()) throw new ValidationFailed([{ path: 'expiresAt', message: 'This moment has passed.' }])
  if (maxAgeDays !== null && wantedMs > latestExpiryMs(maxAgeDays, now)) throw new ApiKeyTooOld({ maxAgeDays })
  return momentOrNever(wantedMs)
}

/** When the key expires that takes another's place: it lasts as long as that one was meant to, if the tenant allows it. */
export function expiryOfSuccessor(
  old: { createdAt: string; expiresAt: string | null },
  maxAgeDays: number | null,
  now: Date,
): string | null {
  const lifeMs =
    old.expiresAt === null ? Number.POSITIVE_INFINITY : Date.parse(old.expiresAt) - Date.parse(old.createdAt)
  return momentOrNever(Math.min(now.getTime() + lifeMs, latestExpiryMs(maxAgeDays, now)))
}

/** The earlier of a key's end and another moment. */
export function earlierEnd(expiresAt: string | null, other: Date): string {
  return expiresAt !== null && Date.parse(expiresAt) < other.getTime() ? expiresAt : other.toISOString()
}

function latestExpiryMs(maxAgeDays: number | null, now: Date): number {
  return maxAgeDays === null ? Number.POSITIVE_INFINITY : now.getTime() + maxAgeDays * DAY_MS
}

function momentOrNever(ms: number): string | null {
  return ms === Number.POSITIVE_INFINITY ? null : new Date(Math.min(ms, LATEST_MS)).toISOString()
}
