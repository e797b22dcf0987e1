import type { Admission, CallEstimate } from '#desiagent/models/call.ts'
import { periodOf } from '#kit/billing-period.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { addMilliseconds } from '#kit/time.ts'
import * as rows from './reservations-repository.ts'

/** Of English text about 4; fewer, so that the estimate errs upwards. */
const CHARACTERS_PER_TOKEN = 3
/** Set aside for an answer whose length nobody bounded. No model we know refuses to be bounded by so many. */
const DEFAULT_ANSWER_TOKENS = 4_096
/** A call is recorded as soon as it ends; one that is not by then never will be. */
const RECORDED_WITHIN_MS = 2 * 60_000

/**
 * Sets aside what a call may use: its prompt, as estimated, and its answer, which is bounded by what is left. The calls
 * in flight can therefore pass the quota together only by what their prompts turn out longer than their estimates.
 *
 * @param tx     holds the tenant's lock: what was counted must still hold when the reservation is written
 * @param limit  tokens in a calendar month (UTC)
 * @throws QuotaExceeded when nothing is left for an answer; calls in flight may give back some of what is reserved
 */
export async function reserveTokens(
  tx: TenantDb,
  limit: number,
  { promptCharacters, maxTokens = DEFAULT_ANSWER_TOKENS, timeoutMs }: CallEstimate,
  now: Date,
  id: string,
): Promise<Admission> {
  await rows.deleteExpired(tx, now.toISOString())
  const used = await rows.sumTokensTaken(tx, periodOf(now), now.toISOString())
  const promptTokens = Math.ceil(promptCharacters / CHARACTERS_PER_TOKEN)
  const left = limit - used - promptTokens
  if (left < 1) throw tooLittleLeft(limit, used)
  const answerTokens = Math.min(maxTokens, left)
  const expiresAt = addMilliseconds(now, timeoutMs + RECORDED_WITHIN_MS).toISOString()
  await rows.insertReservation(tx, { id, tokens: promptTokens + answerTokens, expiresAt })
  return { reservationId: id, maxTokens: answerTokens }
}

function tooLittleLeft(limit: number, used: number) {
  const message = `The tenant's quota maxTokensPerMonth of ${limit} leaves too little for a call: ${used} are used or reserved.`
  return new QuotaExceeded({ quota: 'maxTokensPerMonth', limit, used }, { message })
}
