import type { CommitWith, ControlContext, TenantContext } from '../context.ts'
import { sha256Hex } from '../crypto/hash.ts'
import { seal, unseal } from '../crypto/seal.ts'
import {
  type Claim,
  ClaimLost,
  claim,
  giveUpClaim,
  type IdempotencyDb,
  RENEW_EVERY_MS,
  recordEffect,
  renewClaim,
} from '../db/idempotency-keys.ts'
import type { RequestContext } from './env.ts'
import { IdempotencyInProgress, IdempotencyKeyReused, SecretNoLongerAvailable } from './errors.ts'

/** What an earlier call with the same `Idempotency-Key` made. */
export interface Made {
  id: string
  /** The secret its answer showed. @throws SecretNoLongerAvailable ten minutes later, or to another caller */
  secret(): Promise<string>
}

/**
 * Answers a tenant's creating POST once per `Idempotency-Key`. Without the header it just runs `make`.
 *
 * @param make    does the work with a context whose `commitWith` belongs into the transaction of the effect
 * @param replay  renders what an earlier call with this key made
 */
export function idempotent<R>(
  c: RequestContext,
  make: (ctx: TenantContext) => Promise<R>,
  replay: (ctx: TenantContext, made: Made) => Promise<R>,
): Promise<R> {
  return once(c, c.get('tenant'), make, replay)
}

/** The same for the super admin, whose keys are kept in the control database. */
export function idempotentInControl<R>(
  c: RequestContext,
  make: (ctx: ControlContext) => Promise<R>,
  replay: (ctx: ControlContext, made: Made) => Promise<R>,
): Promise<R> {
  return once(c, c.get('control'), make, replay)
}

async function once<C extends TenantContext | ControlContext, R>(
  c: RequestContext,
  ctx: C,
  make: (ctx: C) => Promise<R>,
  replay: (ctx: C, made: Made) => Promise<R>,
): Promise<R> {
  const key = c.req.header('idempotency-key')
  if (key === undefined) return make(ctx)

  const db = keysOf(ctx)
  const mine: Claim = { key: `${ownerOf(ctx)} ${key}`, claimId: ctx.newId() }
  const operation = c.get('operationId')
  const taken = await claim(db, { ...mine, operation, requestHash: await requestHash(c, operation) }, ctx.now())
  switch (taken.outcome) {
    case 'other_request':
      throw new IdempotencyKeyReused()
    case 'running':
      throw new IdempotencyInProgress(null, { retryAfterSeconds: taken.retryAfterSeconds })
    case 'made':
      c.header('Idempotent-Replayed', 'true')
      return replay(ctx, { id: taken.resourceId, secret: () => open(c, key, taken.sealedSecret) })
    case 'claimed':
      return makeUnderClaim(c, ctx, key, mine, make)
  }
}

async function makeUnderClaim<C extends TenantContext | ControlContext, R>(
  c: RequestContext,
  ctx: C,
  key: string,
  mine: Claim,
  make: (ctx: C) => Promise<R>,
): Promise<R> {
  const db = keysOf(ctx)
  // A renewal that fails is no reason to stop: at worst a repeat of a very long call does the work again.
  const renewal = setInterval(() => renewClaim(db, mine, ctx.now()).catch(() => {}), RENEW_EVERY_MS)
  let isRecorded = false
  const commitWith: CommitWith<unknown> = async (tx, resourceId, secret) => {
    const sealedSecret = secret === undefined ? null : await seal(secret, credentialOf(c), key)
    await recordEffect(tx as IdempotencyDb, mine, { resourceId, sealedSecret }, ctx.now())
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
    if (!isRecorded) await giveUpClaim(db, mine)
  }
}

async function open(c: RequestContext, key: string, sealedSecret: string | null): Promise<string> {
  const secret = sealedSecret === null ? null : await unseal(sealedSecret, credentialOf(c), key)
  if (secret === null) throw new SecretNoLongerAvailable()
  return secret
}

function credentialOf(c: RequestContext): string {
  return (c.req.header('authorization') ?? '').replace(/^Bearer +/i, '')
}

/** Two callers may think of the same key: what one made is none of the other's business. */
function ownerOf({ actor }: TenantContext | ControlContext): string {
  return actor.userId ?? actor.keyId
}

/** Both databases have the table; the builder's types cannot say so. */
function keysOf(ctx: TenantContext | ControlContext): IdempotencyDb {
  return ctx.db as unknown as IdempotencyDb
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
