import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Clock } from '#kit/time.ts'
import { type CallerRow, readCaller } from './repository.ts'
import { isUsable } from './verify.ts'

const READ_EVERY_MS = 1_000
const WATCHED_KEYS = 10_000

interface Watched {
  row: Promise<CallerRow | null>
  /** When it is read again, by the process's own clock. */
  until: number
}

/** Key row's id -> what was read of it last. */
const WATCHED = new WeakMap<TenantDb, Map<string, Watched>>()

/**
 * Whether a key is still good, for what outlives its request. However many streams ask, and however often: its row is
 * read at most once a second. That it expires counts at once.
 */
export async function isKeyGood(db: TenantDb, keyId: string, now: Clock): Promise<boolean> {
  const row = await watched(db, keyId)
  return row !== null && isUsable(row, now().getTime())
}

function watched(db: TenantDb, keyId: string): Promise<CallerRow | null> {
  const keys = WATCHED.get(db) ?? new Map<string, Watched>()
  WATCHED.set(db, keys)
  const known = keys.get(keyId)
  if (known && performance.now() < known.until) return known.row

  const row = readCaller(db, keyId)
  if (keys.size >= WATCHED_KEYS) keys.clear()
  keys.set(keyId, { row, until: performance.now() + READ_EVERY_MS })
  row.catch(() => keys.delete(keyId)) // the next who asks reads again
  return row
}
