import type { Kysely, Selectable } from 'kysely'
import { addSeconds } from '../time.ts'
import type { IdempotencyKeysTable } from './tenant-tables.ts'

const KEPT_SECONDS = 24 * 60 * 60
const LEASE_SECONDS = 30
const RETRY_AFTER_SECONDS = 2
const SEALED_SECONDS = 10 * 60

/** A tenant's database or control: both have the table. */
export type IdempotencyDb = Kysely<{ idempotency_keys: IdempotencyKeysTable }>

export interface Claim {
  key: string
  claimId: string
}

export type ClaimOutcome =
  | { outcome: 'claimed' }
  /** `sealedSecret` is null when there was none, or its time is over. */
  | { outcome: 'made'; resourceId: string; sealedSecret: string | null }
  | { outcome: 'other_request' }
  | { outcome: 'running'; retryAfterSeconds: number }

/**
 * Claims an idempotency key before the work it protects. A claim is a lease: when its process dies before the effect,
 * the lease runs out and the next repeat does the work.
 */
export async function claim(
  db: IdempotencyDb,
  wanted: Claim & { operation: string; requestHash: string },
  now: Date,
): Promise<ClaimOutcome> {
  await forgetOld(db, now)
  if (await insertClaim(db, wanted, now)) return { outcome: 'claimed' }

  const held = await db.selectFrom('idempotency_keys').selectAll().where('key', '=', wanted.key).executeTakeFirst()
  if (!held) return { outcome: 'running', retryAfterSeconds: RETRY_AFTER_SECONDS } // given up between the two statements
  if (held.request_hash !== wanted.requestHash) return { outcome: 'other_request' }
  if (held.resource_id !== null) return made(held.resource_id, held, now)
  if (held.lease_until <= now.toISOString() && (await takeOver(db, held.claim_id, wanted, now))) {
    return { outcome: 'claimed' }
  }
  // Most calls end long before their lease does; a repeat costs one read.
  return { outcome: 'running', retryAfterSeconds: RETRY_AFTER_SECONDS }
}

function made(resourceId: string, held: Selectable<IdempotencyKeysTable>, now: Date): ClaimOutcome {
  const isShown = held.sealed_until !== null && held.sealed_until > now.toISOString()
  return { outcome: 'made', resourceId, sealedSecret: isShown ? held.sealed_secret : null }
}

async function forgetOld(db: IdempotencyDb, now: Date): Promise<void> {
  await db
    .updateTable('idempotency_keys')
    .set({ sealed_secret: null, sealed_until: null })
    .where('sealed_until', '<=', now.toISOString())
    .execute()
  await db
    .deleteFrom('idempotency_keys')
    .where('created_at', '<', addSeconds(now, -KEPT_SECONDS).toISOString())
    .execute()
}

/** Keeps a long piece of work's claim. */
export async function renewClaim(db: IdempotencyDb, claimed: Claim, now: Date): Promise<void> {
  await db
    .updateTable('idempotency_keys')
    .set({ lease_until: addSeconds(now, LEASE_SECONDS).toISOString() })
    .where('key', '=', claimed.key)
    .where('claim_id', '=', claimed.claimId)
    .execute()
}

export interface Effect {
  resourceId: string
  /** What the answer shows this once, sealed; kept for ten minutes. */
  sealedSecret: string | null
}

/**
 * Notes what the claim's work made; belongs into the transaction that makes it.
 *
 * @throws ClaimLost when the lease ran out and a repeat does the work: this one must not be done as well
 */
export async function recordEffect(
  tx: IdempotencyDb,
  claimed: Claim,
  { resourceId, sealedSecret }: Effect,
  now: Date,
): Promise<void> {
  const sealedUntil = sealedSecret === null ? null : addSeconds(now, SEALED_SECONDS).toISOString()
  const { numUpdatedRows } = await tx
    .updateTable('idempotency_keys')
    .set({ resource_id: resourceId, sealed_secret: sealedSecret, sealed_until: sealedUntil })
    .where('key', '=', claimed.key)
    .where('claim_id', '=', claimed.claimId)
    .executeTakeFirstOrThrow()
  if (numUpdatedRows !== 1n) throw new ClaimLost()
}

export class ClaimLost extends Error {
  constructor() {
    super('the lease of an idempotency key ran out before its work was done')
    this.name = 'ClaimLost'
  }
}

/** Frees the key of work that failed before its effect, so that a repeat may try at once. */
export async function giveUpClaim(db: IdempotencyDb, claimed: Claim): Promise<void> {
  await db
    .deleteFrom('idempotency_keys')
    .where('key', '=', claimed.key)
    .where('claim_id', '=', claimed.claimId)
    .where('resource_id', 'is', null)
    .execute()
}

export const RENEW_EVERY_MS = (LEASE_SECONDS * 1000) / 3

async function insertClaim(
  db: IdempotencyDb,
  wanted: Claim & { operation: string; requestHash: string },
  now: Date,
): Promise<boolean> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('idempotency_keys')
    .values({
      key: wanted.key,
      operation: wanted.operation,
      request_hash: wanted.requestHash,
      claim_id: wanted.claimId,
      lease_until: addSeconds(now, LEASE_SECONDS).toISOString(),
      resource_id: null,
      created_at: now.toISOString(),
    })
    .onConflict((conflict) => conflict.column('key').doNothing())
    .executeTakeFirstOrThrow()
  return numInsertedOrUpdatedRows === 1n
}

async function takeOver(db: IdempotencyDb, deadClaimId: string, wanted: Claim, now: Date): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('idempotency_keys')
    .set({ claim_id: wanted.claimId, lease_until: addSeconds(now, LEASE_SECONDS).toISOString() })
    .where('key', '=', wanted.key)
    .where('claim_id', '=', deadClaimId)
    .where('resource_id', 'is', null) // it may have come back to life since it was read
    .where('lease_until', '<=', now.toISOString())
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}
