import type { TenantContext } from '../context.ts'
import { sha256Hex } from '../crypto/hash.ts'
import {
  type Claim,
  ClaimLost,
  claim,
  giveUpClaim,
  RENEW_EVERY_MS,
  recordEffect,
  renewClaim,
} from '../db/idempotency-keys.ts'
import type { RequestContext } from './env.ts'
import { IdempotencyInProgress, IdempotencyKeyReused } from './errors.ts'

/**
 * Answers a creating POST once per `Idempotency-Key`. Without the header it just runs `make`.
 *
 * @param make    does the work with a context whose `commitWith` belongs into the transaction of the effect
 * @param replay  renders, from its id, what an earlier call with this key made
 */
export async function idempotent<R>(
  c: RequestContext,
  make: (ctx: TenantContext) => Promise<R>,
  replay: (ctx: TenantContext, resourceId: string) => Promise<R>,
): Promise<R> {
  const ctx = c.get('tenant')
  const key = c.req.header('idempotency-key')
  if (key === undefined) return make(ctx)

  const mine: Claim = { key, claimId: ctx.newId() }
  const operation = c.get('operationId')
  const taken = await claim(ctx.db, { ...mine, operation, requestHash: await requestHash(c, operation) }, ctx.now())
  switch (taken.outcome) {
    case 'other_request':
      throw new IdempotencyKeyReused()
    case 'running':
      throw new IdempotencyInProgress(null, { retryAfterSeconds: taken.retryAfterSeconds })
    case 'made':
      c.header('Idempotent-Replayed', 'true')
      return replay(ctx, taken.resourceId)
    case 'claimed':
      return makeUnderClaim(ctx, mine, make)
  }
}

async function makeUnderClaim<R>(
  ctx: TenantContext,
  mine: Claim,
  make: (ctx: TenantContext) => Promise<R>,
): Promise<R> {
  // A renewal that fails is no reason to stop: at worst a repeat of a very long call does the work again.
  const renewal = setInterval(() => renewClaim(ctx.db, mine, ctx.now()).catch(() => {}), RENEW_EVERY_MS)
  let isRecorded = false
  const commitWith: TenantContext['commitWith'] = async (tx, resourceId) => {
    await recordEffect(tx, mine, resourceId)
    isRecorded = true
  }
  try {
    return await make({ ...ctx, commitWith })
  } catch (error) {
    isRecorded = false // the transaction may have been undone
    if (error instanceof ClaimLost) throw new IdempotencyInProgress(null, { retryAfterSeconds: 1 })
    throw error
  } finally {
    clearInterval(renewal)
    if (!isRecorded) await giveUpClaim(ctx.db, mine)
  }
}

/** The same for the same operation on the same resource with the same validated body, whatever its key order. */
async function requestHash(c: RequestContext, operation: string): Promise<string> {
  const body = c.req.valid('json' as never) as unknown
  return sha256Hex(JSON.stringify([operation, c.req.param(), body ?? null], sortKeys))
}

/** For JSON.stringify: schemas order the fields they know, but a record keeps the caller's order. */
function sortKeys(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}
