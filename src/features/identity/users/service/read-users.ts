import type { TenantContext } from '#kit/context.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { createdRange } from '#kit/http/filters.ts'
import type { ListUsersQuery, User } from '../contract.ts'
import { UserNotFound } from '../errors.ts'
import * as rows from '../repository.ts'

export { countUsers } from '../repository.ts'

/** Newest first; removed users only when `query.status` asks for them. */
export function listUsers(ctx: TenantContext, query: ListUsersQuery, page: PageRequest): Promise<Page<User>> {
  const { role, status, search } = query
  return rows.listUsers(ctx.db, { role, status, search, ...createdRange(query) }, page)
}

/** @throws UserNotFound */
export async function getUser(ctx: TenantContext, id: string): Promise<User> {
  const user = await rows.findUser(ctx.db, id)
  if (!user) throw new UserNotFound()
  return user
}

/** @throws UserNotFound for a service key, which belongs to nobody */
export async function getOwnUser(ctx: TenantContext): Promise<User> {
  return getUser(ctx, ownId(ctx))
}

/** @throws UserNotFound for a service key, which belongs to nobody */
export function ownId({ actor }: TenantContext): string {
  if (actor.userId === null) throw new UserNotFound()
  return actor.userId
}
