import { type Selectable, sql } from 'kysely'
import type { Role } from '#kit/context.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import { foundBy, putSearchWords } from '#kit/db/search.ts'
import type { TenantDb, UsersTable } from '#kit/db/tenant-tables.ts'
import type { User } from './contract.ts'

type UserRow = Selectable<UsersTable>

export interface NewUser {
  id: string
  email: string
  name: string
  role: Role
  createdAt: string
}

/** An address as it is stored and compared: upper and lower case are the same mailbox. */
export function storedEmail(email: string): string {
  return email.toLowerCase()
}

export async function insertActiveUser(tx: TenantDb, user: NewUser): Promise<void> {
  await insertUser(tx, user, 'active')
}

/** Two tables: run it in a transaction. */
export async function insertUser(tx: TenantDb, user: NewUser, status: 'invited' | 'active'): Promise<User> {
  const row = await tx
    .insertInto('users')
    .values({
      id: user.id,
      email: storedEmail(user.email),
      name: user.name,
      role: user.role,
      status,
      created_at: user.createdAt,
      updated_at: user.createdAt,
      last_login_at: null,
    })
    .returningAll()
    .executeTakeFirstOrThrow()
  return withWords(tx, row)
}

export async function findActiveAdmin(db: TenantDb, email: string): Promise<{ id: string; email: string } | null> {
  const row = await db
    .selectFrom('users')
    .select(['id', 'email'])
    .where('email', '=', storedEmail(email))
    .where('role', '=', 'admin')
    .where('status', '=', 'active')
    .executeTakeFirst()
  return row ?? null
}

export async function findUser(db: TenantDb, id: string): Promise<User | null> {
  const row = await db.selectFrom('users').selectAll().where('id', '=', id).executeTakeFirst()
  return row ? toUser(row) : null
}

/** The invited or active user who has this address. */
export async function findUserByEmail(db: TenantDb, email: string): Promise<User | null> {
  const row = await db
    .selectFrom('users')
    .selectAll()
    .where('email', '=', storedEmail(email))
    // Written out: no database can tell from a parameter that its index of the present addresses covers the query.
    .where('status', '!=', sql.lit('removed'))
    .executeTakeFirst()
  return row ? toUser(row) : null
}

export interface UserFilter {
  role: Role | undefined
  /** Undefined: all but the removed ones. */
  status: User['status'] | undefined
  /** Words of the name or address. */
  search: string | undefined
  /** ISO 8601; inclusive. */
  createdFrom: string | undefined
  /** ISO 8601; exclusive. */
  createdBefore: string | undefined
}

export async function listUsers(db: TenantDb, filter: UserFilter, page: PageRequest): Promise<Page<User>> {
  const { role, status, search, createdFrom, createdBefore } = filter
  let query = db.selectFrom('users').selectAll()
  query = status === undefined ? query.where('status', '!=', 'removed') : query.where('status', '=', status)
  if (role !== undefined) query = query.where('role', '=', role)
  if (createdFrom !== undefined) query = query.where('created_at', '>=', createdFrom)
  if (createdBefore !== undefined) query = query.where('created_at', '<', createdBefore)
  if (search !== undefined) query = query.where(await foundBy(db, 'user', 'users.id', search))
  const found = await fetchPage(query, page)
  return { ...found, rows: found.rows.map(toUser) }
}

/** What `maxUsers` bounds: users who are active or invited. Holds for as long as the tenant is locked. */
export async function countUsers(tx: TenantDb): Promise<number> {
  const { users } = await tx
    .selectFrom('users')
    .select((eb) => eb.fn.countAll<number>().as('users'))
    .where('status', 'in', ['invited', 'active'])
    .executeTakeFirstOrThrow()
  return Number(users)
}

/** Whether the tenant has an active admin beside this user. Holds for as long as the tenant is locked. */
export async function hasOtherAdmin(tx: TenantDb, userId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('users')
    .select('id')
    .where('role', '=', 'admin')
    .where('status', '=', 'active')
    .where('id', '!=', userId)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

export interface UserChange {
  name?: string | undefined
  role?: Role | undefined
  status?: User['status'] | undefined
}

/** Two tables: run it in a transaction. What is left out stays. */
export async function updateUser(tx: TenantDb, id: string, change: UserChange, now: string): Promise<User | null> {
  const { name, role, status } = change
  const row = await tx
    .updateTable('users')
    .set({ updated_at: now, ...(name && { name }), ...(role && { role }), ...(status && { status }) })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirst()
  return row ? withWords(tx, row) : null
}

/** Lets an invited user in, or back in. Two tables: run it in a transaction. */
export async function activateInvitedUser(
  tx: TenantDb,
  id: string,
  name: string | undefined,
  now: string,
): Promise<User> {
  const row = await tx
    .updateTable('users')
    .set({ status: 'active', updated_at: now, last_login_at: now, ...(name && { name }) })
    .where('id', '=', id)
    .where('status', 'in', ['invited', 'active'])
    .returningAll()
    .executeTakeFirstOrThrow()
  return withWords(tx, row)
}

/** Removed users keep their words: they can be listed, and so looked for. */
async function withWords(tx: TenantDb, row: UserRow): Promise<User> {
  await putSearchWords(tx, 'user', row.id, [row.name, row.email])
  return toUser(row)
}

function toUser(row: UserRow): User {
  return {
    id: row.id,
    email: row.email,
    name: row.name,
    role: row.role as User['role'],
    status: row.status as User['status'],
    createdAt: row.created_at,
    updatedAt: row.updated_at,
    lastLoginAt: row.last_login_at,
  }
}
