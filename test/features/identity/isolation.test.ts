import { describe, expect, test } from 'vitest'
import type { RouteContract } from '#kit/http/contract.ts'
import type { Answer, Client } from '#test/support/client.ts'
import { writeInvoice } from '#test/support/past-usage.ts'
import { startApi, type TestApi } from '#test/support/start-api.ts'
import { callRoute, name, tenantRoutes } from './route-walk.ts'

/** What one tenant owns. */
interface Belongings {
  agentId: string
  dagId: string
  clarificationDagId: string
  experimentId: string
  executionId: string
  subStepId: string
  scheduleId: string
  artifactId: string
  apiKeyId: string
  invoiceId: string
  userId: string
}

/**
 * How each path that names something of a tenant's is filled in. A route that is missing here fails the test, so that
 * nobody adds one without saying whose thing it names.
 */
const PARAMETERS: Record<string, (of: Belongings) => Record<string, string>> = {
  '/auth/api-keys/{id}': ({ apiKeyId }) => ({ id: apiKeyId }),
  '/auth/api-keys/{id}/rotate': ({ apiKeyId }) => ({ id: apiKeyId }),
  '/users/{id}': ({ userId }) => ({ id: userId }),
  '/agents/{id}': ({ agentId }) => ({ id: agentId }),
  '/agents/{id}/activate': ({ agentId }) => ({ id: agentId }),
  '/dags/experiments/{id}': ({ experimentId }) => ({ id: experimentId }),
  '/dags/{id}': ({ dagId }) => ({ id: dagId }),
  '/dags/{id}/execute': ({ dagId }) => ({ id: dagId }),
  '/dags/{id}/resume-clarification': ({ clarificationDagId }) => ({ id: clarificationDagId }),
  '/executions/{id}': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/details': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/sub-steps': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/events': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/stream-ticket': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/pause': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/sub-steps/{subStepId}/retry': ({ executionId, subStepId }) => ({ id: executionId, subStepId }),
  '/executions/{id}/cancel': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/resume': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/artifacts': ({ executionId }) => ({ id: executionId }),
  '/executions/{id}/artifacts/{artifactId}': ({ executionId, artifactId }) => ({ id: executionId, artifactId }),
  '/schedules/{id}': ({ scheduleId }) => ({ id: scheduleId }),
  '/schedules/{id}/next-runs': ({ scheduleId }) => ({ id: scheduleId }),
  '/schedules/{id}/occurrences': ({ scheduleId }) => ({ id: scheduleId }),
  '/billing/invoices/{id}': ({ invoiceId }) => ({ id: invoiceId }),
  '/costs/executions/{id}': ({ executionId }) => ({ id: executionId }),
  '/costs/dags/{id}': ({ dagId }) => ({ id: dagId }),
}

/** Names that are the same words for every tenant; what they mean is looked at further down. */
const SHARED_NAMES = ['/agents/resolve/{name}', '/tools/{name}']

/** A body that fits, for the routes that take one. */
const BODIES: Record<string, object> = {
  rotateApiKey: {},
  updateUser: { name: 'taken over' },
  updateAgent: { description: 'taken over' },
  updateDag: { dagTitle: 'taken over' },
  resumeClarification: { userResponse: 'taken over' },
  executeDag: {},
  resumeExecution: {},
  updateSchedule: { scheduleActive: false },
}

const named = tenantRoutes.filter(({ path }) => path.includes('{') && !SHARED_NAMES.includes(path))
const lists = tenantRoutes.filter(({ method, path, request }) => {
  const takes = (request?.query as { shape?: object } | undefined)?.shape ?? {}
  return method === 'get' && !path.includes('{') && 'limit' in takes
})

async function belongingsOf(api: TestApi, client: Client & { tenantId: string }): Promise<Belongings> {
  const agent = await client.post('/agents', { name: 'own', version: '1', systemPrompt: 'x' })
  const dag = await client.post('/dags', {
    goalText: 'Count the words of this text: "one two three"',
    cronSchedule: '@daily',
  })
  const vague = await client.post('/dags', { goalText: 'help' })
  const execution = await client.run('Summarise notes.md and write the result to out.md', {
    inputs: [{ name: 'notes.md', content: '# Notes\n\nWe ship on Friday.\n' }],
  })
  const steps = await client.get(`/executions/${execution.id}/sub-steps`)
  const schedules = await client.get('/schedules')
  const artifacts = await client.get(`/executions/${execution.id}/artifacts`)
  const key = await client.post('/auth/api-keys', { name: 'second', scopes: ['read'] })
  await writeInvoice(api, client.tenantId)
  const invoices = await client.get('/billing/invoices')
  const invitation = await client.post('/users/invite', { email: 'second@example.test' })
  return {
    agentId: agent.body.id,
    dagId: dag.body.dagId,
    clarificationDagId: vague.body.dagId,
    experimentId: await experimentOf(client),
    executionId: execution.id,
    subStepId: steps.body.data[0].id,
    scheduleId: schedules.body.data[0].id,
    artifactId: artifacts.body.data[0].id,
    apiKeyId: key.body.id,
    invoiceId: invoices.body.data[0].id,
    userId: invitation.body.user.id,
  }
}

/** An experiment that has ended, so that nothing changes it any more. */
async function experimentOf(client: Client): Promise<string> {
  const wanted = { goalText: 'Count the words of "a b"', models: ['offline-1'], temperatures: [0] }
  const { body } = await client.post('/dags/experiments', wanted)
  while ((await client.get(`/dags/experiments/${body.id}`)).body.status !== 'completed') {
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  return body.id
}

const call = (client: Client, route: RouteContract, parameters: Record<string, string>) =>
  callRoute(client, route, parameters, BODIES[route.operationId])
const outcome = ({ status, body }: Answer) => `${status} ${body?.code}`

/** Everything the owner can read of what it owns. */
async function snapshot(owner: Client, owned: Belongings): Promise<unknown[]> {
  const read = named.filter(({ method, path }) => method === 'get' && !path.endsWith('/events'))
  const answers = []
  for (const route of read) {
    const { status, body } = await call(owner, route, PARAMETERS[route.path]?.(owned) ?? {})
    expect(status, name(route)).toBe(200)
    answers.push(body)
  }
  const { body } = await owner.get('/auth/api-keys')
  return [...answers, body.data.map(({ lastUsedAt: _, ...key }: Record<string, unknown>) => key)]
}

describe('one tenant cannot reach another tenant’s', () => {
  test('things: this test knows every route that names one', () => {
    expect(named.map(({ path }) => path).filter((path) => !(path in PARAMETERS))).toEqual([])
    const bodied = named.filter(({ request }) => request?.body).map(({ operationId }) => operationId)
    expect(bodied.filter((operationId) => !(operationId in BODIES))).toEqual([])
  })

  test('things: their ids answer like ids that never were, on every route', async () => {
    const api = await startApi()
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    const [owned] = await Promise.all([belongingsOf(api, acme), belongingsOf(api, globex)])
    const before = await snapshot(acme, owned)

    for (const route of named) {
      const parameters = PARAMETERS[route.path]?.(owned) ?? {}
      const [stolen, random] = await Promise.all([
        call(globex, route, parameters),
        call(globex, route, {}),
        acme.get('/agents'),
        acme.get(`/executions/${owned.executionId}`),
      ])
      expect.soft(outcome(stolen), name(route)).toBe(outcome(random))
      expect.soft(stolen.status, name(route)).toBe(404)
      expect.soft(stolen.body?.message, name(route)).toBe(random.body?.message)
    }

    expect(await snapshot(acme, owned)).toEqual(before)
  })

  test('artifacts through an execution of its own', async () => {
    const api = await startApi()
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    const [theirs, mine] = await Promise.all([belongingsOf(api, acme), belongingsOf(api, globex)])
    const path = (executionId: string, artifactId: string) => `/executions/${executionId}/artifacts/${artifactId}`
    expect((await globex.get(path(mine.executionId, theirs.artifactId))).status).toBe(404)
    expect((await globex.get(path(theirs.executionId, mine.artifactId))).status).toBe(404)
    expect((await globex.get(path(mine.executionId, mine.artifactId))).status).toBe(200)
  })

  test('rows in a list', async () => {
    const api = await startApi()
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    await Promise.all([belongingsOf(api, acme), belongingsOf(api, globex)])
    expect(lists.map(({ path }) => path)).toEqual(
      expect.arrayContaining(['/agents', '/dags', '/executions', '/auth/api-keys']),
    )
    for (const route of lists) {
      const [a, g] = await Promise.all([callRoute(acme, route), callRoute(globex, route)])
      const ids = ({ body }: Answer): string[] => body.data.map(({ id }: { id: string }) => id)
      expect(ids(a).length, name(route)).toBeGreaterThan(0)
      expect(
        ids(a).filter((id) => ids(g).includes(id)),
        name(route),
      ).toEqual([])
    }
  })

  test('executions by naming its DAG', async () => {
    const api = await startApi()
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    const owned = await belongingsOf(api, acme)
    const { body: execution } = await acme.get(`/executions/${owned.executionId}`)
    expect((await acme.get(`/executions?dagId=${execution.dagId}`)).body.data.length).toBe(1)
    expect((await globex.get(`/executions?dagId=${execution.dagId}`)).body.data).toEqual([])
  })

  test('agents by name', async () => {
    const api = await startApi()
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    const { body: own } = await acme.post('/agents', { name: 'secret-writer', version: '1', systemPrompt: 'x' })
    await acme.post(`/agents/${own.id}/activate`)
    expect((await acme.get('/agents/resolve/secret-writer')).body.id).toBe(own.id)
    expect(outcome(await globex.get('/agents/resolve/secret-writer'))).toBe('404 agent_not_found')
    const [a, g] = await Promise.all([acme.get('/agents/resolve/planner'), globex.get('/agents/resolve/planner')])
    expect(a.body.id).not.toBe(g.body.id)
    const planned = await globex.post('/dags', { goalText: 'Count the words of "a b"', agentName: 'secret-writer' })
    expect(outcome(planned)).toBe('404 agent_not_found')
  })

  test('cursor: one tenant’s page position shows another only its own rows', async () => {
    const api = await startApi()
    const [acme, globex] = await Promise.all([api.tenant('acme'), api.tenant('globex')])
    const { nextCursor } = (await acme.get('/agents?limit=1')).body.pagination
    const own = new Set((await globex.get('/agents')).body.data.map(({ id }: { id: string }) => id))
    const { data } = (await globex.get(`/agents?cursor=${nextCursor}`)).body
    expect(data.filter(({ id }: { id: string }) => !own.has(id))).toEqual([])
  })
})

test('two tenants at work at once each see their own answers', async () => {
  const api = await startApi()
  const tenants = await Promise.all(['a', 'b', 'c', 'd'].map((slug) => api.tenant(slug)))
  const words = ['one', 'one two', 'one two three', 'one two three four']
  const executions = await Promise.all(
    tenants.map((tenant, i) => tenant.run(`Count the words of this text: "${words[i]}"`)),
  )
  for (const [i, execution] of executions.entries()) {
    expect(execution.status).toBe('completed')
    expect(execution.originalRequest).toContain(`"${words[i]}"`)
    expect((await (tenants[i] as Client).get('/executions')).body.data.length).toBe(1)
  }
})

test('tenants that are closed and opened again in turn stay apart', async () => {
  const api = await startApi({ env: { MAX_OPEN_TENANTS: '2' } })
  const tenants = await Promise.all(Array.from({ length: 6 }, (_, i) => api.tenant(`t-${i}`)))
  for (let round = 0; round < 5; round += 1) {
    const answers = await Promise.all(tenants.map((tenant) => tenant.get('/auth/me')))
    expect(answers.map(({ body }) => body.tenant.id)).toEqual(tenants.map(({ tenantId }) => tenantId))
  }
  await (tenants[0] as Client).get('/auth/me') // a burst may hold more open; the next request closes them
  expect(api.api.stores.homes.openCount).toBeLessThanOrEqual(2)
})
