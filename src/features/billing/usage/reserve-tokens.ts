import type { Admission, CallEstimate } from '#desiagent/models/call.ts'
import { periodOf } from '#kit/billing-period.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { addMilliseconds } from '#kit/time.ts'
import * as rows from './reservations-repository.ts'

/** Of English text about 4; fewer, so that the estimate errs upwards. */
const CHARACTERS_PER_TOKEN = 3
/** Set aside for an answer whose length nobody bounded. */
const USUAL_ANSWER_TOKENS = 4_096
/** With less a call is not worth its prompt, and some providers refuse to be bounded by so little. */
const LEAST_ANSWER_TOKENS = 256
/** A call is recorded when its step is; one that is not by then never will be. */
const RECORDED_WITHIN_MS = 2 * 60_000

export interface Wish extends CallEstimate {
  /** Rather comes again than be let in with less, or refused, for what calls in flight have set aside. */
  isPatient: boolean
}

/**
 * Sets aside what a call may use: its prompt, as estimated, and its answer. Where the month has less left than the answer
 * may need, it is bounded by what is left. The calls in flight can therefore pass the quota together only by what their
 * prompts, or answers that nobody bounded, turn out longer than was set aside.
 *
 * @param tx     holds the tenant's lock: what was counted must still hold when the reservation is written
 * @param limit  tokens in a calendar month (UTC)
 * @returns null when a patient one should come again
 * @throws QuotaExceeded when too little is left for an answer
 */
export async function reserveTokens(
  tx: TenantDb,
  limit: number,
  { promptCharacters, maxTokens, timeoutMs, isPatient }: Wish,
  now: Date,
  id: string,
): Promise<Admission | null> {
  await rows.deleteExpired(tx, now.toISOString())
  const { used, reserved } = await rows.sumTokensTaken(tx, periodOf(now), now.toISOString())
  const promptTokens = Math.ceil(promptCharacters / CHARACTERS_PER_TOKEN)
  const wanted = maxTokens ?? USUAL_ANSWER_TOKENS
  const left = limit - used - reserved - promptTokens
  if (left < wanted && isPatient && left + reserved >= wanted) return null
  if (left < Math.min(wanted, LEAST_ANSWER_TOKENS)) throw tooLittleLeft(limit, used + reserved)

  const answerTokens = Math.min(wanted, left)
  const expiresAt = addMilliseconds(now, timeoutMs + RECORDED_WITHIN_MS).toISOString()
  await rows.insertReservation(tx, { id, tokens: promptTokens + answerTokens, expiresAt })
  return { reservationId: id, maxTokens: answerTokens < wanted ? answerTokens : maxTokens }
}

function tooLittleLeft(limit: number, used: number) {
  const message = `The tenant's quota maxTokensPerMonth of ${limit} leaves too little for a call: ${used} are used or reserved.`
  return new QuotaExceeded({ quota: 'maxTokensPerMonth', limit, used }, { message })
}
