import type { TenantContext } from '#kit/context.ts'
import { lockTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { assertRoom, type TenantLimits } from '#kit/quotas.ts'
import { hasHadKey, revokeKeysOfUser } from '../../api-keys/repository.ts'
import { standingOf } from '../../tenants/service.ts'
import type { UpdateOwnUser, UpdateUser, User } from '../contract.ts'
import { LastAdmin, UserExists, UserNotFound, UserStatusConflict } from '../errors.ts'
import { withdrawInvitations } from '../invitations-repository.ts'
import * as rows from '../repository.ts'
import { ownId } from './read-users.ts'

/** @throws UserNotFound for a service key, which belongs to nobody */
export async function updateOwnUser(ctx: TenantContext, input: UpdateOwnUser): Promise<User> {
  return ctx.transaction(async (tx) => {
    const user = await rows.updateUser(tx, ownId(ctx), input, ctx.now().toISOString())
    if (!user) throw new UserNotFound()
    return user
  })
}

/**
 * Changes name, role or status. Status `removed` is what `deleteUser` does; `active` takes a removed user back, whose
 * keys stay revoked: an invitation is the way back in.
 *
 * @throws UserNotFound
 * @throws LastAdmin when the tenant would be left without an active admin; also when two admins go at the same moment
 * @throws UserExists when the address of a removed user has been invited again
 * @throws UserStatusConflict when somebody should become active who never was: that takes an accepted invitation
 * @throws QuotaExceeded when there is no room for a removed user
 */
export async function updateUser(ctx: TenantContext, id: string, input: UpdateUser): Promise<User> {
  const { user, withdrawnTokenIds } = await ctx.transaction((tx) => changeUser(ctx, tx, id, input))
  if (withdrawnTokenIds.length > 0) await ctx.directory.removeKey(...withdrawnTokenIds)
  return user
}

/**
 * Removes a user: all keys of the user are revoked, open invitations to and by the user are withdrawn,
 * what else the user made stays.
 * Removing twice is no error.
 *
 * @throws UserNotFound, LastAdmin
 */
export async function deleteUser(ctx: TenantContext, id: string): Promise<void> {
  await updateUser(ctx, id, { status: 'removed' })
}

interface Changed {
  user: User
  /** Of invitations that are withdrawn: to be taken out of the index once that is committed. */
  withdrawnTokenIds: string[]
}

async function changeUser(ctx: TenantContext, tx: TenantDb, id: string, change: UpdateUser): Promise<Changed> {
  const { limits } = standingOf(await lockTenant(tx)) // before anything is counted
  const before = await rows.findUser(tx, id)
  if (!before) throw new UserNotFound()
  const now = ctx.now().toISOString()

  if (before.status !== 'active' && change.status === 'active') await assertRestorable(tx, before, limits)
  await assertAdminRemains(tx, before, change)
  const { status = before.status } = change
  // On the way back as well: a key that was being made while its user was removed must not come to life.
  const withdrawnTokenIds = status === before.status ? [] : await shutOut(tx, id, now)
  const user = isChange(before, change) ? await rows.updateUser(tx, id, change, now) : before
  if (!user) throw new UserNotFound()
  return { user, withdrawnTokenIds }
}

async function assertRestorable(tx: TenantDb, user: User, limits: TenantLimits): Promise<void> {
  const hasBeenActive = user.status === 'removed' && (await hasHadKey(tx, user.id))
  if (!hasBeenActive) throw new UserStatusConflict({ status: user.status })
  if (await rows.findUserByEmail(tx, user.email)) throw new UserExists({ email: user.email })
  assertRoom(limits, 'maxUsers', await rows.countUsers(tx))
}

async function assertAdminRemains(tx: TenantDb, before: User, { role, status }: UpdateUser): Promise<void> {
  if (before.role !== 'admin' || before.status !== 'active') return
  const remains = (role ?? 'admin') === 'admin' && (status ?? 'active') === 'active'
  if (!remains && !(await rows.hasOtherAdmin(tx, before.id))) throw new LastAdmin()
}

/** @returns the ids of the tokens that are worth nothing any more */
async function shutOut(tx: TenantDb, userId: string, now: string): Promise<string[]> {
  await revokeKeysOfUser(tx, userId, now)
  return withdrawInvitations(tx, userId)
}

function isChange(before: User, { name, role, status }: UpdateUser): boolean {
  return (
    (name ?? before.name) !== before.name ||
    (role ?? before.role) !== before.role ||
    (status ?? before.status) !== before.status
  )
}
