import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Arrival, type Seen, World } from './fair-queue-world.ts'

const LONGEST_STEP = 4
const TENANTS = ['a', 'b', 'c', 'd', 'e']

const limits = fc.record({ concurrency: fc.integer({ min: 1, max: 6 }), perTenant: fc.integer({ min: 1, max: 6 }) })
const arrival: fc.Arbitrary<Arrival> = fc.record({
  tenantId: fc.constantFrom(...TENANTS),
  atTick: fc.integer({ min: 0, max: 30 }),
  durations: fc.array(fc.integer({ min: 1, max: LONGEST_STEP }), { minLength: 1, maxLength: 12 }),
  atOnce: fc.integer({ min: 1, max: 3 }),
})
const arrivals = fc.array(arrival, { minLength: 1, maxLength: 40 })

/** Runs until everything that comes has ended; `look` is called when all has settled after each tick. */
async function runAll(world: World, coming: readonly Arrival[], look: () => void = () => {}): Promise<void> {
  for (let tick = 0; tick <= 30 || world.open.length > 0; tick += 1) {
    for (const one of coming.filter(({ atTick }) => atTick === tick)) world.push(one)
    await world.pass()
    look()
    if (tick > 10_000) throw new Error('it never ends')
  }
}

const many = (tenantId: string, count: number, steps: number): Arrival[] =>
  Array.from({ length: count }, () => ({ tenantId, atTick: 0, durations: Array(steps).fill(1), atOnce: 1 }))

describe('whatever comes, whoever it comes from, however long it takes', () => {
  // The world throws when there are more than the limits, or the same job runs twice.
  test('every job is done, to its end and once, and never more at once than allowed', async () => {
    await fc.assert(
      fc.asyncProperty(limits, arrivals, async (given, coming) => {
        const world = new World(given)
        await runAll(world, coming)
        expect(world.seen.filter(({ kind }) => kind === 'ended').length).toBe(coming.length)
        expect(new Set(world.seen.filter(({ kind }) => kind === 'ended').map(({ id }) => id)).size).toBe(coming.length)
        expect(world.queue.waitingCount).toBe(0)
      }),
      { numRuns: 300 },
    )
  })

  test('no place is empty while somebody waits who may have it', async () => {
    await fc.assert(
      fc.asyncProperty(limits, arrivals, async (given, coming) => {
        const world = new World(given)
        await runAll(world, coming, () => {
          const taken = TENANTS.reduce((sum, tenant) => sum + world.placesOf(tenant), 0)
          const couldRun = TENANTS.filter((t) => world.waitingOf(t) > 0 && world.placesOf(t) < given.perTenant)
          expect(taken < given.concurrency ? couldRun : []).toEqual([])
        })
      }),
      { numRuns: 300 },
    )
  })

  test('who has no place gets the next one, and of several who waited longest', async () => {
    await fc.assert(
      fc.asyncProperty(limits, arrivals, async (given, coming) => {
        const world = new World(given)
        await runAll(world, coming)
        expect(passedOver(world.seen)).toEqual([])
      }),
      { numRuns: 300 },
    )
  })

  test('who has no place waits no longer than a running sub-step, if there is a place for every tenant', async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 6 }), async (coming, perTenant) => {
        const world = new World({ concurrency: TENANTS.length, perTenant })
        await runAll(world, coming)
        expect(longestWithout(world.seen)).toBeLessThanOrEqual(LONGEST_STEP)
      }),
      { numRuns: 300 },
    )
  })

  test('nor than a few, when there are more tenants than places', async () => {
    await fc.assert(
      fc.asyncProperty(limits, arrivals, async (given, coming) => {
        const world = new World(given)
        await runAll(world, coming)
        const rounds = Math.ceil(TENANTS.length / given.concurrency)
        expect(longestWithout(world.seen)).toBeLessThanOrEqual(rounds * LONGEST_STEP)
      }),
      { numRuns: 300 },
    )
  })

  test('a job that is pushed again, waiting or running, is neither lost nor doubled', async () => {
    const again = fc.array(fc.nat({ max: 1_000 }), { minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(limits, arrivals, again, async (given, coming, pushes) => {
        const world = new World(given)
        const left = [...pushes]
        await runAll(world, coming, () => {
          const pushed = world.seen.filter(({ kind }) => kind === 'pushed')
          const one = pushed.length > 0 ? pushed[(left.pop() ?? 0) % pushed.length] : undefined
          if (one) world.queue.push({ tenantId: one.tenantId, id: one.id })
        })
        expect(world.seen.filter(({ kind }) => kind === 'ended').length).toBe(coming.length)
      }),
      { numRuns: 300 },
    )
  })
})

/** Beginnings by which somebody else was passed over who had no place, and for longer than whoever began. */
function passedOver(seen: readonly Seen[]): Seen[] {
  const places = new Map<string, number>()
  const waiting = new Map<string, number>()
  const withoutSince = new Map<string, number>()
  const add = (counts: Map<string, number>, { tenantId }: Seen, by: number) =>
    counts.set(tenantId, (counts.get(tenantId) ?? 0) + by)
  const found: Seen[] = []
  seen.forEach((event, index) => {
    const { kind, tenantId } = event
    if (kind === 'began') {
      const since = withoutSince.get(tenantId) ?? Number.POSITIVE_INFINITY // it has a place already
      if ([...withoutSince.values()].some((other) => other < since)) found.push(event)
      add(waiting, event, -1)
      add(places, event, 1)
    }
    if (kind === 'pushed' || kind === 'yielded') add(waiting, event, 1)
    if (kind === 'ended' || kind === 'yielded') add(places, event, -1)
    const isWithout = (places.get(tenantId) ?? 0) === 0 && (waiting.get(tenantId) ?? 0) > 0
    if (!isWithout) withoutSince.delete(tenantId)
    else if (!withoutSince.has(tenantId)) withoutSince.set(tenantId, index)
  })
  return found
}

/** The most ticks that a tenant had work and no place. */
function longestWithout(seen: readonly Seen[]): number {
  const places = new Map<string, number>()
  const waiting = new Map<string, number>()
  const since = new Map<string, number>()
  let longest = 0
  for (const { kind, tenantId, tick } of seen) {
    const change = { pushed: [0, 1], began: [1, -1], yielded: [-1, 1], ended: [-1, 0] }[kind] as [number, number]
    places.set(tenantId, (places.get(tenantId) ?? 0) + change[0])
    waiting.set(tenantId, (waiting.get(tenantId) ?? 0) + change[1])
    const isWithout = places.get(tenantId) === 0 && (waiting.get(tenantId) ?? 0) > 0
    if (isWithout && !since.has(tenantId)) since.set(tenantId, tick)
    if (isWithout) continue
    longest = Math.max(longest, tick - (since.get(tenantId) ?? tick))
    since.delete(tenantId)
  }
  return longest
}

const began = (world: World, tenantId: string) =>
  world.seen.filter((event) => event.kind === 'began' && event.tenantId === tenantId)
const yields = (world: World) => world.seen.filter(({ kind }) => kind === 'yielded').length

test('one tenant with ten thousand jobs, on all places, delays another’s single one by one running sub-step', async () => {
  const world = new World({ concurrency: 50, perTenant: 50 })
  for (const one of many('a', 10_000, 3)) world.push({ ...one, durations: [5, 5, 5] })
  await world.pass()
  await world.pass()
  world.push({ tenantId: 'b', atTick: 2, durations: [1], atOnce: 1 })
  expect(began(world, 'b')).toEqual([])
  for (let passed = 2; passed < 5; passed += 1) await world.pass()
  expect(began(world, 'b')).toEqual([expect.objectContaining({ tick: 5 })])
  expect(yields(world)).toBe(1)
})

test('what gave its place back goes on before the rest of its tenant’s', async () => {
  const world = new World({ concurrency: 1, perTenant: 1 })
  const [first] = many('a', 3, 2).map((one) => world.push(one))
  world.push({ tenantId: 'b', atTick: 0, durations: [1], atOnce: 1 })
  await world.pass()
  await world.pass()
  expect(world.seen.filter(({ kind }) => kind === 'began').map(({ id }) => id)).toEqual([first?.id, 'b-3', first?.id])
})

test.each([
  [4, 2],
  [5, 3],
])('two that share %i places come to equal shares and keep them: nothing is handed to and fro', async (places, ofA) => {
  const world = new World({ concurrency: places, perTenant: places })
  for (const one of many('a', 8, 500)) world.push(one)
  await world.pass()
  for (const one of many('b', 8, 500)) world.push(one)
  for (let passed = 0; passed < 400; passed += 1) await world.pass()
  expect([world.placesOf('a'), world.placesOf('b'), yields(world)]).toEqual([ofA, 2, 2])
})

test('nobody gives way for a place that somebody else has promised', async () => {
  const world = new World({ concurrency: 4, perTenant: 4 })
  for (const one of many('a', 4, 1)) world.push({ ...one, durations: [1, 4, 9, 9], atOnce: 2 })
  world.push({ tenantId: 'b', atTick: 0, durations: [9], atOnce: 1 })
  for (let passed = 0; passed < 9; passed += 1) await world.pass() // each ends a step in the first, and another is in flight
  expect([began(world, 'b')[0]?.tick, yields(world)]).toEqual([4, 1])
})

test('who was told to give way is told so again, and counted once', async () => {
  const world = new World({ concurrency: 1, perTenant: 1 })
  for (const tenant of ['a', 'b', 'c']) world.push({ tenantId: tenant, atTick: 0, durations: [1, 1, 1], atOnce: 1 })
  expect([world.queue.isPlaceWanted('a'), world.queue.isPlaceWanted('a')]).toEqual([true, true])
  for (let passed = 0; passed < 3; passed += 1) await world.pass()
  expect(world.seen.filter(({ kind }) => kind === 'began').map(({ tenantId }) => tenantId)).toEqual([...'abca'])
})

test('what waits to go on after it gave its place back is put in once', async () => {
  const world = new World({ concurrency: 1, perTenant: 1 })
  const job = world.push({ tenantId: 'a', atTick: 0, durations: [1, 1], atOnce: 1 })
  world.push({ tenantId: 'b', atTick: 0, durations: [1, 1], atOnce: 1 })
  world.queue.push(job) // while it runs
  await world.pass()
  world.queue.push(job) // while it waits
  expect(world.queue.waitingCount).toBe(1)
})

test('a tenant that may have no more places than it has makes nobody give way', async () => {
  const world = new World({ concurrency: 4, perTenant: 2 })
  for (const one of many('a', 4, 50)) world.push(one)
  for (const one of many('b', 4, 50)) world.push(one)
  for (let passed = 0; passed < 40; passed += 1) await world.pass()
  expect([world.placesOf('a'), world.placesOf('b'), yields(world)]).toEqual([2, 2, 0])
})

test('after it is stopped nothing begins, and what runs is waited for', async () => {
  const world = new World({ concurrency: 1, perTenant: 1 })
  for (const one of many('a', 2, 2)) world.push(one)
  let isStopped = false
  const stopping = world.queue.stop().then(() => {
    isStopped = true
  })
  await world.pass()
  expect(isStopped).toBe(false)
  await world.pass()
  await stopping
  world.push({ tenantId: 'b', atTick: 0, durations: [1], atOnce: 1 })
  await world.pass()
  expect(world.seen.filter(({ kind }) => kind === 'began').length).toBe(1)
})
