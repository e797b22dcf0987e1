import { addSeconds } from '../time.ts'
import type { TenantDb } from './tenant-tables.ts'

const KEPT_SECONDS = 24 * 60 * 60
const LEASE_SECONDS = 30
const RETRY_AFTER_SECONDS = 2

export interface Claim {
  key: string
  claimId: string
}

export type ClaimOutcome =
  | { outcome: 'claimed' }
  | { outcome: 'made'; resourceId: string }
  | { outcome: 'other_request' }
  | { outcome: 'running'; retryAfterSeconds: number }

/**
 * Claims an idempotency key before the work it protects. A claim is a lease: when its process dies before the effect,
 * the lease runs out and the next repeat does the work.
 */
export async function claim(
  db: TenantDb,
  wanted: Claim & { operation: string; requestHash: string },
  now: Date,
): Promise<ClaimOutcome> {
  await db
    .deleteFrom('idempotency_keys')
    .where('created_at', '<', addSeconds(now, -KEPT_SECONDS).toISOString())
    .execute()
  if (await insertClaim(db, wanted, now)) return { outcome: 'claimed' }

  const held = await db.selectFrom('idempotency_keys').selectAll().where('key', '=', wanted.key).executeTakeFirst()
  if (!held) return { outcome: 'running', retryAfterSeconds: RETRY_AFTER_SECONDS } // given up between the two statements
  if (held.request_hash !== wanted.requestHash) return { outcome: 'other_request' }
  if (held.resource_id !== null) return { outcome: 'made', resourceId: held.resource_id }
  if (held.lease_until <= now.toISOString() && (await takeOver(db, held.claim_id, wanted, now))) {
    return { outcome: 'claimed' }
  }
  // Most calls end long before their lease does; a repeat costs one read.
  return { outcome: 'running', retryAfterSeconds: RETRY_AFTER_SECONDS }
}

/** Keeps a long piece of work's claim. */
export async function renewClaim(db: TenantDb, claimed: Claim, now: Date): Promise<void> {
  await db
    .updateTable('idempotency_keys')
    .set({ lease_until: addSeconds(now, LEASE_SECONDS).toISOString() })
    .where('key', '=', claimed.key)
    .where('claim_id', '=', claimed.claimId)
    .execute()
}

/**
 * Notes what the claim's work made; belongs into the transaction that makes it.
 *
 * @throws ClaimLost when the lease ran out and a repeat does the work: this one must not be done as well
 */
export async function recordEffect(tx: TenantDb, claimed: Claim, resourceId: string): Promise<void> {
  const { numUpdatedRows } = await tx
    .updateTable('idempotency_keys')
    .set({ resource_id: resourceId })
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
export async function giveUpClaim(db: TenantDb, claimed: Claim): Promise<void> {
  await db
    .deleteFrom('idempotency_keys')
    .where('key', '=', claimed.key)
    .where('claim_id', '=', claimed.claimId)
    .where('resource_id', 'is', null)
    .execute()
}

export const RENEW_EVERY_MS = (LEASE_SECONDS * 1000) / 3

async function insertClaim(
  db: TenantDb,
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

async function takeOver(db: TenantDb, deadClaimId: string, wanted: Claim, now: Date): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('idempotency_keys')
    .set({ claim_id: wanted.claimId, lease_until: addSeconds(now, LEASE_SECONDS).toISOString() })
    .where('key', '=', wanted.key)
    .where('claim_id', '=', deadClaimId)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}
