import type { Role } from '#kit/context.ts'
import type { Client } from '#test/support/client.ts'
import type { TestApi } from '#test/support/start-api.ts'

type Tenant = Client & { tenantId: string; userId: string }

/** Another active user of a tenant, calling with a key of these scopes. */
export async function secondUser(api: TestApi, tenant: Tenant, role: Role, scopes: readonly string[]) {
  const userId = crypto.randomUUID()
  const { body: made } = await tenant.post('/auth/api-keys', { name: `key of a ${role}`, scopes })
  const at = new Date().toISOString()
  const user = { id: userId, email: `${userId}@acme.test`, name: role, role, status: 'active', last_login_at: null }
  await api.api.stores.homes.use(tenant.tenantId, async (db) => {
    await db
      .insertInto('users')
      .values({ ...user, created_at: at, updated_at: at })
      .execute()
    await db.updateTable('api_keys').set({ user_id: userId }).where('id', '=', made.id).execute()
  })
  return Object.assign(api.client(made.key), { userId, keyId: made.id as string })
}
