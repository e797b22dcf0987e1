import type { TenantDb, UsersTable } from '#kit/db/tenant-tables.ts'

export interface NewUser {
  id: string
  email: string
  name: string
  role: UsersTable['role']
  createdAt: string
}

export async function insertActiveUser(tx: TenantDb, user: NewUser): Promise<void> {
  await tx
    .insertInto('users')
    .values({
      id: user.id,
      email: user.email,
      name: user.name,
      role: user.role,
      status: 'active',
      created_at: user.createdAt,
      updated_at: user.createdAt,
      last_login_at: null,
    })
    .execute()
}

export async function findActiveAdmin(db: TenantDb, email: string): Promise<{ id: string; email: string } | null> {
  const row = await db
    .selectFrom('users')
    .select(['id', 'email'])
    .where('email', '=', email)
    .where('role', '=', 'admin')
    .where('status', '=', 'active')
    .executeTakeFirst()
  return row ?? null
}
