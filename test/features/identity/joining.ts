import type { Client } from '#test/support/client.ts'
import type { TestApi } from '#test/support/start-api.ts'

export interface Joined {
  client: Client
  userId: string
}

/** Invites somebody into the tenant and accepts; the client calls with the new user's first key. */
export async function join(
  api: TestApi,
  admin: Client,
  email: string,
  role = 'member',
  name?: string,
): Promise<Joined> {
  const invited = await admin.post('/users/invite', { email, role, name })
  if (invited.status !== 201) throw new Error(`invite: ${JSON.stringify(invited.body)}`)
  const accepted = await api.client(null).post('/users/invite/accept', { token: invited.body.token })
  if (accepted.status !== 201) throw new Error(`accept: ${JSON.stringify(accepted.body)}`)
  return { client: api.client(accepted.body.apiKey.key), userId: accepted.body.user.id }
}
