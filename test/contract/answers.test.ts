import { expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { operations, validatorOf } from '#test/support/published-spec.ts'
import { startApi } from '#test/support/start-api.ts'

test('a client that validates by the published JSON Schema accepts what the API answers', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const seen: string[] = []
  const call = async (client: Client, method: string, path: string, body?: unknown, expected = 200) => {
    const answer = await client.call(method, path, body)
    const isExpected = expected === 200 ? answer.status < 300 : answer.status === expected
    seen.push(isExpected ? fits(method, path, answer) : `${method} ${path}: ${answer.status}`)
    return answer.body
  }

  await call(api.superAdmin, 'POST', '/admin/tenants', { slug: 'other', admin: { email: 'a@other.test' } })
  await call(api.superAdmin, 'GET', '/admin/tenants?includeTotal=true')
  await call(acme, 'GET', '/auth/me')
  const key = await call(acme, 'POST', '/auth/api-keys', { name: 'a key', scopes: ['read'] })
  await call(acme, 'GET', '/auth/api-keys?limit=1')
  await call(acme, 'DELETE', `/auth/api-keys/${key.id}`)
  const agent = await call(acme, 'POST', '/agents', { name: 'poet', version: '1', systemPrompt: 'Rhyme.' })
  await call(acme, 'GET', '/agents?limit=2')
  await call(acme, 'PATCH', `/agents/${agent.id}`, { systemPrompt: 'Rhyme well.' })
  await call(acme, 'POST', `/agents/${agent.id}/activate`)
  await call(acme, 'GET', '/agents/resolve/poet')
  await call(acme, 'GET', '/tools')
  await call(acme, 'GET', '/tools/fetchPage')
  const { dagId } = await call(acme, 'POST', '/dags', { goalText: 'Count the words of this text: one two three' })
  await call(acme, 'GET', `/dags/${dagId}`)
  await call(acme, 'GET', '/dags')
  const { id } = await call(acme, 'POST', `/dags/${dagId}/execute`)
  await acme.events(id)
  await call(acme, 'GET', `/executions/${id}`)
  await call(acme, 'GET', `/executions/${id}/details`)
  await call(acme, 'GET', `/executions/${id}/sub-steps`)
  await call(acme, 'GET', `/executions/${id}/artifacts`)
  await call(acme, 'GET', '/executions')
  await call(acme, 'GET', `/costs/executions/${id}`)
  await call(acme, 'POST', `/executions/${id}/resume`, undefined, 409)
  await call(acme, 'GET', '/health')
  await call(acme, 'GET', '/health/ready')

  await call(acme, 'POST', '/agents', { name: 1, extra: true }, 400)
  await call(acme, 'POST', '/agents', '{', 400)
  await call(api.client(null), 'GET', '/agents', undefined, 401)
  await call(acme, 'GET', '/admin/tenants', undefined, 403)
  await call(acme, 'GET', `/dags/${crypto.randomUUID()}`, undefined, 404)

  expect(seen.filter((line) => line !== 'fits')).toEqual([])
})

/** `fits`, or what does not. That every answer has the fields of its contract and no other is seen to by `Client`. */
function fits(method: string, path: string, { status, body }: { status: number; body: unknown }): string {
  const parts = path.replace(/\?.*/, '').split('/')
  const operation = operations
    .filter((o) => o.method === method.toLowerCase())
    .find((o) => matches(o.path.replace('/api/v2', '').split('/'), parts))
  const schema = operation?.responses[status]?.content?.['application/json']?.schema
  if (!schema) return status === 204 ? 'fits' : `${method} ${path}: ${status} is not published`
  const { error } = validatorOf(schema).safeParse(body)
  return error ? `${operation?.operationId} ${status}: ${error.message}` : 'fits'
}

function matches(template: string[], parts: string[]): boolean {
  return template.length === parts.length && template.every((part, at) => part.startsWith('{') || part === parts[at])
}
