import type { InvitationsTable, TenantDb } from '#kit/db/tenant-tables.ts'

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
  const row: InvitationsTable = {
    id: invitation.id,
    user_id: invitation.userId,
    token_id: invitation.tokenId,
    token_hash: invitation.tokenHash,
    invited_by: invitation.invitedBy,
    expires_at: invitation.expiresAt,
    created_at: invitation.createdAt,
  }
  const { user_id: _, ...replacement } = row
  await tx
    .insertInto('invitations')
    .values(row)
    .onConflict((conflict) => conflict.column('user_id').doUpdateSet(replacement))
    .execute()
}

export interface InvitationOfUser {
  tokenId: string
  expiresAt: string
}

export async function findInvitationOfUser(db: TenantDb, userId: string): Promise<InvitationOfUser | null> {
  const row = await db
    .selectFrom('invitations')
    .select(['token_id', 'expires_at'])
    .where('user_id', '=', userId)
    .executeTakeFirst()
  return row ? { tokenId: row.token_id, expiresAt: row.expires_at } : null
}

export interface PresentedToken {
  tokenId: string
  tokenHash: string
}

/** Whom a token lets in, unless its time is over. */
export async function findInvitedUser(
  db: TenantDb,
  { tokenId, tokenHash }: PresentedToken,
  now: string,
): Promise<string | null> {
  const row = await db
    .selectFrom('invitations')
    .select('user_id')
    .where('token_id', '=', tokenId)
    .where('token_hash', '=', tokenHash)
    .where('expires_at', '>', now)
    .executeTakeFirst()
  return row?.user_id ?? null
}

/** @returns false when it is used, replaced or withdrawn */
export async function deleteInvitation(tx: TenantDb, tokenId: string): Promise<boolean> {
  const { numDeletedRows } = await tx
    .deleteFrom('invitations')
    .where('token_id', '=', tokenId)
    .executeTakeFirstOrThrow()
  return numDeletedRows === 1n
}
