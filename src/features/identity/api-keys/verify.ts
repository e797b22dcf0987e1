import { type KeyEnvironment, type ParsedApiKey, parseApiKey } from '#kit/crypto/api-key.ts'
import type { SecretHasher } from '#kit/crypto/secret-hash.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { findTenantOfKey } from '#kit/db/directory.ts'
import type { PinnedHome, TenantHomes } from '#kit/db/tenant-homes.ts'
import { type AddressRanges, isInRanges, parseAddressRanges } from '#kit/http/client-address.ts'
import { AddressNotAllowed, InvalidApiKey, InvalidTicket, TenantSuspended } from '#kit/http/errors.ts'
import type { AddressLimit } from '#kit/http/rate-limit.ts'
import type { StreamTickets } from '#kit/stream-tickets.ts'
import type { Digest } from '#ports/digest.ts'
import { type AdminKeyRow, findAdminKey } from '../admin-keys/repository.ts'
import type { FailedSecrets } from './failed-secrets.ts'
import { type CallerRow, findCaller, findNamedCaller, touchKey } from './repository.ts'

export interface VerifierParts {
  control: ControlDb
  homes: TenantHomes
  hasher: SecretHasher
  digest: Digest
  /** The word in the tenants' keys. */
  environment: Exclude<KeyEnvironment, 'admin'>
  failedSecrets: FailedSecrets
  addressLimit: AddressLimit
  tickets: StreamTickets
  nowMs: () => number
}

/** Who is let in, with the tenant's database held open. */
export interface LetIn {
  caller: CallerRow
  home: PinnedHome
}

const REMEMBERED_KEYS = 50_000
const REMEMBERED_LISTS = 5_000
const TOUCH_EVERY_MS = 60_000

/**
 * Verifies API keys. bcrypt runs once per key and process; after that a keyed digest of the whole credential is looked up in
 * memory, while revocation, expiry and scopes are read from the tenant's row each time, so they count at once.
 */
export class KeyVerifier {
  readonly #parts: VerifierParts
  /** Digest of a credential that matched -> the hash it matched. */
  readonly #verified = new Map<string, string>()
  /** Id of a key -> when its use was last written down, epoch milliseconds. */
  readonly #notedAt = new Map<string, number>()
  readonly #comparing = new Map<string, Promise<boolean>>()
  /** Allow-list as it is stored -> the ranges it means. */
  readonly #rangesOf = new Map<string, AddressRanges>()
  /** Key id -> tenant id; never changes for a key. */
  readonly #tenantOfKey = new Map<string, string>()

  constructor(parts: VerifierParts) {
    this.#parts = parts
  }

  /**
   * The caller behind a tenant's key, with the tenant's database held open.
   *
   * @throws InvalidApiKey, RateLimited (too many failures from this address), AddressNotAllowed, TenantSuspended
   */
  async tenantKey(credential: string, address: string): Promise<LetIn> {
    const parsed = parseApiKey(credential)
    if (!parsed || parsed.environment !== this.#parts.environment) return this.#fail(address)
    const tenantId = await this.#findTenant(parsed.keyId)
    const home = tenantId === null ? null : await this.#parts.homes.pin(tenantId)
    if (!home) return this.#fail(address)
    try {
      const caller = await findCaller(home.db, parsed.keyId)
      if (!caller || !(await this.#matches(credential, parsed, caller.hash, address))) return this.#fail(address)
      if (!isUsable(caller, this.#parts.nowMs())) return this.#fail(address)
      return await this.#letIn(caller, home, address)
    } catch (error) {
      home.release()
      throw error
    }
  }

  /**
   * The caller on whose key's behalf a ticket for this execution was given out, if that key is still good. What is wrong
   * with a ticket is told to nobody.
   *
   * @throws InvalidTicket, RateLimited, AddressNotAllowed, TenantSuspended
   */
  async ticket(ticket: string, executionId: string, address: string): Promise<LetIn> {
    const opened = await this.#parts.tickets.open(ticket)
    if (!opened.ok || opened.claims.executionId !== executionId) return this.#refuseTicket(address)
    const home = await this.#parts.homes.pin(opened.claims.tenantId)
    if (!home) return this.#refuseTicket(address)
    try {
      const caller = await findNamedCaller(home.db, opened.claims.keyId)
      if (!caller || !isUsable(caller, this.#parts.nowMs())) return this.#refuseTicket(address)
      return await this.#letIn(caller, home, address)
    } catch (error) {
      home.release()
      throw error
    }
  }

  /** @throws InvalidApiKey, RateLimited */
  async adminKey(credential: string, address: string): Promise<AdminKeyRow> {
    const parsed = parseApiKey(credential)
    if (parsed?.environment !== 'admin') return this.#fail(address)
    const row = await findAdminKey(this.#parts.control, parsed.keyId)
    if (!row || !(await this.#matches(credential, parsed, row.hash, address))) return this.#fail(address)
    if (row.revoked_at !== null) return this.#fail(address)
    return row
  }

  #fail(address: string): never {
    this.#parts.addressLimit.count(address)
    throw new InvalidApiKey()
  }

  #refuseTicket(address: string): never {
    this.#parts.addressLimit.count(address)
    throw new InvalidTicket()
  }

  async #letIn(caller: CallerRow, home: PinnedHome, address: string): Promise<LetIn> {
    if (!this.#isAllowedFrom(address, caller.allowed_addresses)) throw new AddressNotAllowed()
    if (caller.tenant_status !== 'active') throw new TenantSuspended()
    await this.#noteUse(home, caller)
    return { caller, home }
  }

  /** Asked only about a key whose secret was right: nobody else learns that it has an allow-list. */
  #isAllowedFrom(address: string, allowedAddresses: string | null): boolean {
    if (allowedAddresses === null) return true
    let ranges = this.#rangesOf.get(allowedAddresses)
    if (!ranges) {
      ranges = parseAddressRanges(JSON.parse(allowedAddresses) as string[])
      remember(this.#rangesOf, allowedAddresses, ranges, REMEMBERED_LISTS)
    }
    return isInRanges(address, ranges)
  }

  async #findTenant(keyId: string): Promise<string | null> {
    const known = this.#tenantOfKey.get(keyId)
    if (known !== undefined) return known
    const tenantId = await findTenantOfKey(this.#parts.control, keyId)
    if (tenantId !== null) remember(this.#tenantOfKey, keyId, tenantId)
    return tenantId
  }

  async #matches(credential: string, parsed: ParsedApiKey, hash: string, address: string): Promise<boolean> {
    const digested = this.#parts.digest(credential)
    const digest = typeof digested === 'string' ? digested : await digested
    if (this.#verified.get(digest) === hash) return true
    const running = this.#comparing.get(digest)
    if (running) return running // many requests with a key new to this process: one comparison

    const giveBack = this.#parts.failedSecrets.reserve(address, parsed.keyId)
    const comparing = this.#parts.hasher.matches(credential, hash)
    this.#comparing.set(digest, comparing)
    try {
      const isMatch = await comparing
      if (isMatch) {
        giveBack()
        remember(this.#verified, digest, hash)
      }
      return isMatch
    } finally {
      this.#comparing.delete(digest)
    }
  }

  async #noteUse(home: PinnedHome, caller: CallerRow): Promise<void> {
    const now = this.#parts.nowMs()
    const notedAt = this.#notedAt.get(caller.id)
    if (notedAt !== undefined && now - notedAt < TOUCH_EVERY_MS) return
    remember(this.#notedAt, caller.id, now)
    await touchKey(home.db, caller.id, new Date(now).toISOString())
  }
}

/** Neither revoked nor expired, and its user not removed. */
export function isUsable(caller: CallerRow, nowMs: number): boolean {
  if (caller.revoked_at !== null) return false
  if (caller.expires_at !== null && Date.parse(caller.expires_at) <= nowMs) return false
  return caller.user_id === null || caller.user_status === 'active'
}

function remember<T>(map: Map<string, T>, key: string, value: T, most = REMEMBERED_KEYS): void {
  if (map.size >= most) map.delete(map.keys().next().value as string)
  map.set(key, value)
}
