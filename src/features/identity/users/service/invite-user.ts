import type { TenantContext } from '#kit/context.ts'
import { generateInvitationToken } from '#kit/crypto/api-key.ts'
import { sha256Hex } from '#kit/crypto/hash.ts'
import { lockTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { SecretNoLongerAvailable } from '#kit/http/errors.ts'
import type { Made } from '#kit/http/idempotency.ts'
import { assertRoom, type TenantLimits } from '#kit/quotas.ts'
import { addSeconds } from '#kit/time.ts'
import type { Mail } from '#ports/mail.ts'
import { hasWorkingKey } from '../../api-keys/repository.ts'
import { standingOf } from '../../tenants/service.ts'
import type { Invitation, InviteUser, User } from '../contract.ts'
import { MailFailed, UserExists } from '../errors.ts'
import { writeInvitation } from '../invitation-mail.ts'
import { deleteEndedInvitations, findInvitation, findTokenOfUser, putInvitation } from '../invitations-repository.ts'
import * as rows from '../repository.ts'
import { getUser } from './read-users.ts'

/** How invitations reach people. */
export interface InvitationPost {
  /** Null: no mail is configured; the inviter is shown the token. */
  mail: Mail | null
  /** Where the link in the mail leads; `{token}` is replaced. Null: the mail holds the token alone. */
  linkTemplate: string | null
}

const VALID_SECONDS = 7 * 24 * 60 * 60
const INVITATION_GONE =
  'The first request with this Idempotency-Key made an invitation that has been accepted, replaced or withdrawn since.'

/**
 * Invites an address for seven days. One that is invited already gets a new token, in place of the one before, and the
 * name and role of this invitation. An active user who has no key that works gets a way back in, and nothing else new.
 *
 * @returns the token only when no mail is configured; nobody else learns it, and only its SHA-256 is kept
 * @throws UserExists when the address belongs to an active user who has a key
 * @throws QuotaExceeded when invited and active users fill `maxUsers`
 * @throws MailFailed when the mail server did not take it; the invitation stays, inviting again sends a new token
 */
export async function inviteUser(ctx: TenantContext, post: InvitationPost, input: InviteUser): Promise<Invitation> {
  const token = await makeToken(ctx)
  const { id, user, tenantName, endedTokenIds } = await ctx
    .transaction((tx) => writeDown(ctx, tx, input, token, post.mail === null))
    .catch(async (error: unknown) => {
      await ctx.directory.removeKey(token.tokenId)
      throw error
    })
  await ctx.directory.removeKey(...endedTokenIds)
  const { expiresAt } = token
  if (!post.mail) return { user, expiresAt, isMailed: false, token: token.token }

  const { linkTemplate } = post
  const letter = writeInvitation({ to: user.email, tenantName, token: token.token, expiresAt, linkTemplate })
  await post.mail.send(letter).catch(() => {
    throw new MailFailed()
  })
  // Not before it is sent: a repeat with the same Idempotency-Key has to send what could not be sent. When the process
  // dies in between, the repeat invites again: a second mail with a new token, the first one's is worth nothing then.
  await ctx.transaction((tx) => ctx.commitWith(tx, id))
  return { user, expiresAt, isMailed: true, token: null }
}

/**
 * What `inviteUser` answered, as it is now; of an invitation that was accepted, `expiresAt` tells when.
 *
 * @throws SecretNoLongerAvailable when the token can no longer be shown, or the invitation is not there any more: it was
 *   replaced, withdrawn, or accepted so long ago that it was let go
 */
export async function showInvitation(ctx: TenantContext, post: InvitationPost, made: Made): Promise<Invitation> {
  const invitation = await findInvitation(ctx.db, made.id)
  if (!invitation) throw new SecretNoLongerAvailable(null, { message: INVITATION_GONE })
  const { userId, endsAt: expiresAt } = invitation
  const user = await getUser(ctx, userId)
  if (post.mail) return { user, expiresAt, isMailed: true, token: null }
  return { user, expiresAt, isMailed: false, token: await made.secret() }
}

interface Token {
  token: string
  tokenId: string
  tokenHash: string
  createdAt: string
  expiresAt: string
}

/** The index row first: a token that leads nowhere is harmless, one nobody can find is lost. */
async function makeToken(ctx: TenantContext): Promise<Token> {
  const { token, tokenId } = generateInvitationToken()
  const now = ctx.now()
  const expiresAt = addSeconds(now, VALID_SECONDS).toISOString()
  await ctx.directory.registerKey(tokenId)
  return { token, tokenId, tokenHash: await sha256Hex(token), createdAt: now.toISOString(), expiresAt }
}

interface WrittenDown {
  /** Of the invitation. */
  id: string
  user: User
  tenantName: string
  /** Of the token the address had before, and of others that are worth nothing any more. */
  endedTokenIds: string[]
}

async function writeDown(
  ctx: TenantContext,
  tx: TenantDb,
  input: InviteUser,
  { token, tokenId, tokenHash, createdAt, expiresAt }: Token,
  isTokenShown: boolean,
): Promise<WrittenDown> {
  const tenant = await lockTenant(tx) // before anything is counted
  const endedTokenIds = await deleteEndedInvitations(tx, createdAt)
  const user = await putInvitedUser(ctx, tx, input, standingOf(tenant).limits, createdAt)
  const replaced = await findTokenOfUser(tx, user.id)
  const id = ctx.newId()
  await putInvitation(tx, {
    id,
    userId: user.id,
    tokenId,
    tokenHash,
    invitedBy: ctx.actor.userId,
    expiresAt,
    createdAt,
  })
  if (isTokenShown) await ctx.commitWith(tx, id, token)
  return {
    id,
    user,
    tenantName: tenant.name,
    endedTokenIds: replaced === null ? endedTokenIds : [...endedTokenIds, replaced],
  }
}

async function putInvitedUser(
  ctx: TenantContext,
  tx: TenantDb,
  { email, name, role }: InviteUser,
  limits: TenantLimits,
  now: string,
): Promise<User> {
  const known = await rows.findUserByEmail(tx, email)
  if (known?.status === 'active') {
    if (await hasWorkingKey(tx, known.id, now)) throw new UserExists({ email: known.email })
    return known // who has lost every key comes in again as who they are
  }
  const invitedAgain = known && (await rows.updateUser(tx, known.id, { name, role }, now))
  if (invitedAgain) return invitedAgain
  assertRoom(limits, 'maxUsers', await rows.countUsers(tx))
  return rows.insertUser(tx, { id: ctx.newId(), email, name: name ?? email, role, createdAt: now }, 'invited')
}
