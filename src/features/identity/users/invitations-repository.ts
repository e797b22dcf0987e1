import type { Insertable } from 'kysely'
import type { InvitationsTable, TenantDb } from '#kit/db/tenant-tables.ts'
import { addSeconds } from '#kit/time.ts'

/** For so long who came in may show the token again: the answer with the first key may have been lost. */
const REPEATABLE_SECONDS = 10 * 60
/** What one call takes along; the rest waits for the next. */
const ENDED_AT_ONCE = 50

export interface NewInvitation {
  id: string
  userId: string
  tokenId: string
  tokenHash: string
  /** User; null: a service key. */
  invitedBy: string | null
  expiresAt: string
  createdAt: string
}

/** Puts the invitation in the place of the one its user may have: that one's token is worth nothing from then on. */
export async function putInvitation(tx: TenantDb, invitation: NewInvitation): Promise<void> {
  const row: Insertable<InvitationsTable> = {
    id: invitation.id,
    user_id: invitation.userId,
    token_id: invitation.tokenId,
    token_hash: invitation.tokenHash,
    invited_by: invitation.invitedBy,
    expires_at: invitation.expiresAt,
    created_at: invitation.createdAt,
    accepted_at: null,
    api_key_id: null,
    sealed_key: null,
  }
  const { user_id: _, ...replacement } = row
  await tx
    .insertInto('invitations')
    .values(row)
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(replacement))
    .execute()
}

/** Waiting, or accepted a moment ago. */
export interface Invitation {
  userId: string
  /** ISO 8601; when it ended, if it has been accepted. */
  endsAt: string
}

export async function findInvitation(db: TenantDb, id: string): Promise<Invitation | null> {
  const row = await db
    .selectFrom('invitations')
    .select(['user_id', 'expires_at', 'accepted_at'])
    .where('id', '=', id)
    .executeTakeFirst()
  return row ? { userId: row.user_id, endsAt: row.accepted_at ?? row.expires_at } : null
}

export async function findTokenOfUser(db: TenantDb, userId: string): Promise<string | null> {
  const row = await db.selectFrom('invitations').select('token_id').where('user_id', '=', userId).executeTakeFirst()
  return row?.token_id ?? null
}

export interface PresentedToken {
  tokenId: string
  tokenHash: string
}

/** The first key of who accepted, for showing it again. */
export interface FirstKey {
  apiKeyId: string
  sealedKey: string
}

export interface OpenInvitation {
  userId: string
  /** Null: it waits to be accepted. */
  accepted: { firstKey: FirstKey; at: string } | null
}

/**
 * What a token opens: an invitation whose time is not over, or one that was accepted less than ten minutes ago.
 *
 * @param now  ISO 8601
 */
export async function findOpenInvitation(
  db: TenantDb,
  { tokenId, tokenHash }: PresentedToken,
  now: string,
): Promise<OpenInvitation | null> {
  const row = await db
    .selectFrom('invitations')
    .select(['user_id', 'api_key_id', 'sealed_key', 'accepted_at'])
    .where('token_id', '=', tokenId)
    .where('token_hash', '=', tokenHash)
    .where((eb) =>
      eb.or([
        eb.and([eb('accepted_at', 'is', null), eb('expires_at', '>', now)]),
        eb('accepted_at', '>', earliestRepeatable(now)),
      ]),
    )
    .executeTakeFirst()
  if (!row) return null
  const { user_id: userId, api_key_id: apiKeyId, sealed_key: sealedKey, accepted_at: at } = row
  if (apiKeyId === null || sealedKey === null || at === null) return { userId, accepted: null }
  return { userId, accepted: { firstKey: { apiKeyId, sealedKey }, at } }
}

/** The token works no more than to show the same again. */
export async function endInvitation(tx: TenantDb, tokenId: string, firstKey: FirstKey, now: string): Promise<void> {
  await tx
    .updateTable('invitations')
    .set({ accepted_at: now, api_key_id: firstKey.apiKeyId, sealed_key: firstKey.sealedKey })
    .where('token_id', '=', tokenId)
    .execute()
}

/**
 * Lets go of invitations that were accepted and can be shown no more, oldest first.
 *
 * @returns the ids of at most 50 tokens, which lead to nothing any more
 */
export async function deleteEndedInvitations(tx: TenantDb, now: string): Promise<string[]> {
  const rows = await tx
    .deleteFrom('invitations')
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('invitations')
        .select('id')
        .where('accepted_at', '<=', earliestRepeatable(now))
        .orderBy('accepted_at')
        .limit(ENDED_AT_ONCE),
    )
    .returning('token_id')
    .execute()
  return rows.map((row) => row.token_id)
}

/** When the next of those that were accepted can be shown no more (ISO 8601); null: none is kept. */
export async function findNextEnd(db: TenantDb): Promise<string | null> {
  const row = await db
    .selectFrom('invitations')
    .select('accepted_at')
    .where('accepted_at', 'is not', null)
    .orderBy('accepted_at')
    .limit(1)
    .executeTakeFirst()
  return row?.accepted_at ? repeatableUntil(row.accepted_at) : null
}

/** When what was accepted at `acceptedAt` can be shown no more. Both ISO 8601. */
export function repeatableUntil(acceptedAt: string): string {
  return addSeconds(new Date(acceptedAt), REPEATABLE_SECONDS).toISOString()
}

function earliestRepeatable(now: string): string {
  return addSeconds(new Date(now), -REPEATABLE_SECONDS).toISOString()
}

/** Withdraws what this user has been invited by, and the open invitations this user made. @returns their tokens' ids */
export async function withdrawInvitations(tx: TenantDb, userId: string): Promise<string[]> {
  const withdrawn = await tx
    .deleteFrom('invitations')
    .where((eb) =>
      eb.or([eb('user_id', '=', userId), eb.and([eb('invited_by', '=', userId), eb('accepted_at', 'is', null)])]),
    )
    .returning('token_id')
    .execute()
  return withdrawn.map(({ token_id }) => token_id)
}
