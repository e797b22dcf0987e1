import { describe, expect, test } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'
import { join } from '../identity/joining.ts'
import { HeldClock } from './held-clock.ts'

const AGENT = {
  name: 'writer',
  version: '1',
  systemPrompt: 'Write.',
  metadata: { team: 'a', cost: { unit: 'b', of: 1 } },
}
const GOAL = { goalText: 'Count the words of this text: "one two three"' }
const DEFINITION = { definition: planOf([{ id: 'a' }]), title: 'given' }

const CALLS = [
  { path: '/agents', list: '/agents', body: AGENT, other: { ...AGENT, version: '2' }, status: 201, id: 'id' },
  { path: '/dags', list: '/dags', body: GOAL, other: { goalText: 'Something else' }, status: 201, id: 'dagId' },
  {
    path: '/create-execute',
    list: '/executions',
    body: GOAL,
    other: { ...GOAL, temperature: 1 },
    status: 202,
    id: 'executionId',
  },
  {
    path: '/dags/execute-definition',
    list: '/executions',
    body: DEFINITION,
    other: { ...DEFINITION, title: 'other' },
    status: 202,
    id: 'id',
  },
]

const withKey = (key: string) => ({ 'idempotency-key': key })
const isReplay = ({ headers }: { headers: Headers }) => headers.get('idempotent-replayed') === 'true'

async function countOf(client: Client, list: string): Promise<number> {
  return (await client.get(`${list}?limit=1&includeTotal=true`)).body.pagination.total
}

/** The same JSON with the keys of every object the other way round. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(
    Object.entries(value)
      .map(([key, inner]) => [key, reversed(inner)] as const)
      .toReversed(),
  )
}

describe.each(CALLS)('POST $path', ({ path, list, body, other, status, id }) => {
  test('a repeat answers what the first call made, says so, and makes nothing', async () => {
    const acme = await (await startApi()).tenant('acme')
    const first = await acme.post(path, body, withKey('k-1'))
    expect(first.status).toBe(status)
    expect(isReplay(first)).toBe(false)
    const before = await countOf(acme, list)

    const again = await acme.post(path, body, withKey('k-1'))

    expect(again.status).toBe(status)
    expect(isReplay(again)).toBe(true)
    expect(again.body[id]).toBe(first.body[id])
    expect(Object.keys(again.body).toSorted()).toEqual(Object.keys(first.body).toSorted())
    expect(await countOf(acme, list)).toBe(before)
  })

  test('another body under the same key is refused and makes nothing', async () => {
    const acme = await (await startApi()).tenant('acme')
    await acme.post(path, body, withKey('k-1'))
    const before = await countOf(acme, list)
    const answer = await acme.post(path, other, withKey('k-1'))
    expect(answer.status).toBe(422)
    expect(answer.body.code).toBe('idempotency_key_reused')
    expect(await countOf(acme, list)).toBe(before)
  })

  test('the order of the keys in the body does not matter', async () => {
    const acme = await (await startApi()).tenant('acme')
    const first = await acme.post(path, body, withKey('k-1'))
    const again = await acme.post(path, reversed(body), withKey('k-1'))
    expect(again.status).toBe(status)
    expect(isReplay(again)).toBe(true)
    expect(again.body[id]).toBe(first.body[id])
  })

  test('of 20 at once with one key exactly one makes something', async () => {
    const acme = await (await startApi()).tenant('acme')
    const before = await countOf(acme, list)
    const answers = await Promise.all(Array.from({ length: 20 }, () => acme.post(path, body, withKey('k-1'))))

    const made = answers.filter((answer) => answer.status === status)
    const refused = answers.filter((answer) => answer.status === 409)
    expect(made.length + refused.length).toBe(20)
    expect(made.filter((answer) => !isReplay(answer)).length).toBe(1)
    expect(new Set(made.map((answer) => answer.body[id])).size).toBe(1)
    for (const answer of refused) {
      expect(answer.body.code).toBe('idempotency_in_progress')
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    }
    expect(await countOf(acme, list)).toBe(before + 1)
  })

  test('a body that does not fit the contract uses the key up for nobody', async () => {
    const acme = await (await startApi()).tenant('acme')
    expect((await acme.post(path, { ...body, nonsense: 1 }, withKey('k-1'))).status).toBe(400)
    const answer = await acme.post(path, body, withKey('k-1'))
    expect(answer.status).toBe(status)
    expect(isReplay(answer)).toBe(false)
  })

  test('keys of two tenants do not meet', async () => {
    const api = await startApi()
    const [acme, globex] = [await api.tenant('acme'), await api.tenant('globex')]
    const [a, g] = await Promise.all([acme.post(path, body, withKey('k-1')), globex.post(path, body, withKey('k-1'))])
    expect([a.status, g.status]).toEqual([status, status])
    expect([isReplay(a), isReplay(g)]).toEqual([false, false])
    expect(a.body[id]).not.toBe(g.body[id])
  })

  test('the repeat is still answered after a restart', async () => {
    const first = await startApi()
    const acme = await first.tenant('acme')
    const made = await acme.post(path, body, withKey('k-1'))
    await first.close()

    const second = await startApi({ dataDir: first.dataDir })
    const again = await second.client(acme.key).post(path, body, withKey('k-1'))

    expect(again.status).toBe(status)
    expect(isReplay(again)).toBe(true)
    expect(again.body[id]).toBe(made.body[id])
  })
})

test('a call that was refused frees its key', async () => {
  const acme = await (await startApi()).tenant('acme')
  const taken = await acme.post('/agents', AGENT)
  expect((await acme.post('/agents', AGENT, withKey('k-1'))).status).toBe(409)
  await acme.delete(`/agents/${taken.body.id}`)
  const answer = await acme.post('/agents', AGENT, withKey('k-1'))
  expect(answer.status).toBe(201)
  expect(isReplay(answer)).toBe(false)
})

test('a definition that is no plan frees its key, even for another body', async () => {
  const acme = await (await startApi()).tenant('acme')
  const refused = await acme.post('/dags/execute-definition', { definition: {} }, withKey('k-1'))
  expect([refused.status, refused.body.code]).toEqual([422, 'plan_invalid'])
  expect((await acme.post('/dags/execute-definition', DEFINITION, withKey('k-1'))).status).toBe(202)
})

test('one key may not serve two operations, nor two resources of one', async () => {
  const acme = await (await startApi()).tenant('acme')
  const [a, b] = [await acme.post('/dags', GOAL), await acme.post('/dags', GOAL)]
  expect((await acme.post(`/dags/${a.body.dagId}/execute`, undefined, withKey('k-1'))).status).toBe(202)
  expect((await acme.post(`/dags/${b.body.dagId}/execute`, undefined, withKey('k-1'))).status).toBe(422)
  expect((await acme.post('/dags', GOAL, withKey('k-1'))).status).toBe(422)
  const again = await acme.post(`/dags/${a.body.dagId}/execute`, undefined, withKey('k-1'))
  expect([again.status, isReplay(again)]).toEqual([202, true])
})

test('without a key every call makes something', async () => {
  const acme = await (await startApi()).tenant('acme')
  await acme.post('/dags', GOAL)
  await acme.post('/dags', GOAL)
  expect(await countOf(acme, '/dags')).toBe(2)
})

test('a key that is empty or too long is refused', async () => {
  const acme = await (await startApi()).tenant('acme')
  for (const key of ['', 'x'.repeat(256)]) {
    const { status, body } = await acme.post('/agents', AGENT, withKey(key))
    expect([status, body.code]).toEqual([400, 'validation_failed'])
  }
})

test('a key is forgotten after 24 hours, not before', async () => {
  const clock = new HeldClock()
  const acme = await (await startApi({ overrides: { now: clock.now } })).tenant('acme')
  const first = await acme.post('/dags/execute-definition', DEFINITION, withKey('k-1'))
  clock.pass(24 * 3_600_000)
  const kept = await acme.post('/dags/execute-definition', DEFINITION, withKey('k-1'))
  expect([isReplay(kept), kept.body.id]).toEqual([true, first.body.id])
  clock.pass(1)
  const forgotten = await acme.post('/dags/execute-definition', DEFINITION, withKey('k-1'))
  expect([forgotten.status, isReplay(forgotten)]).toEqual([202, false])
  expect(forgotten.body.id).not.toBe(first.body.id)
})

test('the claim of a process that died holds until its lease runs out, then a repeat does the work', async () => {
  const clock = new HeldClock()
  const api = await startApi({ overrides: { now: clock.now } })
  const acme = await api.tenant('acme')
  const { body } = await acme.post('/agents', AGENT, withKey('k-1'))
  await acme.delete(`/agents/${body.id}`)
  // As if the process had died before the effect: the claim stands, nothing was made.
  await api.api.stores.homes.use(acme.tenantId, (db) =>
    db.updateTable('idempotency_keys').set({ resource_id: null, claim_id: crypto.randomUUID() }).execute(),
  )

  const waiting = await acme.post('/agents', AGENT, withKey('k-1'))
  expect([waiting.status, waiting.body.code]).toEqual([409, 'idempotency_in_progress'])
  expect(Number(waiting.headers.get('retry-after'))).toBeLessThanOrEqual(30)
  clock.pass(30_000) // the lease
  const answers = await Promise.all(Array.from({ length: 5 }, () => acme.post('/agents', AGENT, withKey('k-1'))))

  expect(answers.filter((answer) => answer.status === 201 && !isReplay(answer)).length).toBe(1)
  const [made] = answers.filter(({ status }) => status === 201)
  const again = await acme.post('/agents', AGENT, withKey('k-1'))
  expect([again.status, isReplay(again), again.body.id]).toEqual([201, true, made?.body.id])
})

test('two users of a tenant may think of the same key: each makes their own', async () => {
  const api = await startApi()
  const acme = await api.tenant('acme')
  const ada = await join(api, acme, 'ada@x.test')
  const made = []
  for (const client of [acme, ada.client]) made.push((await client.post('/dags', GOAL, withKey('same'))).body.dagId)
  expect(new Set(made).size).toBe(2)
  expect((await ada.client.post('/dags', GOAL, withKey('same'))).body.dagId).toBe(made[1])
})
