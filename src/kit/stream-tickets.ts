import { z } from 'zod'
import { importSigningKey, looksSigned, openSignedText, type SigningKey, signText } from './crypto/signed-text.ts'
import { addSeconds, type Clock } from './time.ts'

/** What a ticket lets in to, and for whom. */
export interface TicketClaims {
  tenantId: string
  executionId: string
  /** The row of the key that asked for it. */
  keyId: string
}

export type OpenedTicket =
  | { ok: true; claims: TicketClaims }
  | { ok: false; reason: 'malformed' | 'forged' | 'expired' }

const TTL_SECONDS = 60

/** Tickets that open the event stream of one execution for a minute: signed values, kept nowhere. */
export class StreamTickets {
  readonly #secretOf: () => Promise<string>
  readonly #now: Clock
  #key: Promise<SigningKey> | undefined

  /** @param secretOf  reads the secret that all processes share; asked once */
  constructor(secretOf: () => Promise<string>, now: Clock) {
    this.#secretOf = secretOf
    this.#now = now
  }

  async issue({ tenantId, executionId, keyId }: TicketClaims): Promise<{ ticket: string; expiresAt: Date }> {
    const expiresAt = addSeconds(this.#now(), TTL_SECONDS)
    const text = JSON.stringify([tenantId, executionId, keyId, expiresAt.getTime()])
    return { ticket: await signText(text, await this.#signingKey()), expiresAt }
  }

  /** Reads no database, except for the secret once: a forged ticket costs nobody a query. */
  async open(ticket: string): Promise<OpenedTicket> {
    if (!looksSigned(ticket)) return { ok: false, reason: 'malformed' }
    const text = await openSignedText(ticket, await this.#signingKey())
    if (text === null) return { ok: false, reason: 'forged' }
    const [tenantId, executionId, keyId, expiresAtMs] = Contents.parse(JSON.parse(text)) // ours: it cannot be otherwise
    if (expiresAtMs <= this.#now().getTime()) return { ok: false, reason: 'expired' }
    return { ok: true, claims: { tenantId, executionId, keyId } }
  }

  #signingKey(): Promise<SigningKey> {
    this.#key ??= this.#secretOf()
      .then(importSigningKey)
      .catch((error: unknown) => {
        this.#key = undefined // the next who needs it tries again
        throw error
      })
    return this.#key
  }
}

const Contents = z.tuple([z.string(), z.string(), z.string(), z.number()])
