import { expect, test } from 'vitest'
import { heldModel } from '#test/support/held-model.ts'
import { openAiServer } from '#test/support/openai-server.ts'
import { bootstrapDataDir, type ServerProcess, startServerProcess } from '#test/support/server-process.ts'
import { Caller } from './going-on.ts'

/** Starts the server again and again as long as it dies, as a process manager would. */
function keepAlive(acme: Caller, start: () => Promise<ServerProcess>) {
  const life = { deaths: 0, isOver: false }
  const watching = (async () => {
    while (!life.isOver) {
      const end = await Promise.race([acme.server.ended(), over(life)])
      if (life.isOver || end === undefined) return
      life.deaths += 1
      acme.server = await start()
    }
  })()
  return Object.assign(life, { end: () => Object.assign(life, { isOver: true }) && watching })
}

async function over(life: { isOver: boolean }): Promise<undefined> {
  while (!life.isOver) await new Promise((resolve) => setTimeout(resolve, 50))
}

test('an execution that kills the process is parked; those that ran beside it complete', async () => {
  const { dataDir, apiKey } = bootstrapDataDir()
  const victim: { acme?: Caller } = {}
  const model = await openAiServer(async ({ messages: [prompt = ''] }) => {
    if (prompt !== 'poison') return { text: 'ok', delayMs: 300 } // no answer before the poison works
    victim.acme?.server.signal('SIGKILL')
    return 'hang!'
  })
  const start = () => startServerProcess(dataDir, model.env)
  const acme = new Caller(await start(), apiKey)
  const innocents = await Promise.all([1, 2, 3, 4, 5].map((n) => acme.begin([{ id: 'a', prompt: `innocent ${n}` }])))
  victim.acme = acme
  const life = keepAlive(acme, start)
  const poisoned = await acme.begin([{ id: 'a', prompt: 'poison' }]).catch(async () => {
    // It died before it answered.
    await expect.poll(() => life.deaths, { timeout: 20_000 }).toBeGreaterThan(0)
    return ''
  })

  for (const id of innocents) {
    await expect
      .poll(async () => (await acme.details(id).catch(() => null))?.status, { timeout: 60_000, interval: 100 })
      .toBe('completed')
  }
  const { body } = await acme.server.call(apiKey, 'GET', '/executions?status=suspended')
  expect(body.data).toMatchObject([{ suspendedReason: expect.stringMatching(/^crashed_repeatedly: /) }])
  if (poisoned) expect(body.data[0].id).toBe(poisoned)
  expect(life.deaths).toBe(3)
  expect(model.calls.filter(({ messages }) => messages[0] === 'poison')).toHaveLength(3)
  await life.end()
}, 120_000)

test('the process may be killed while it recovers: nothing is lost, and nothing that was answered is asked again', async () => {
  const model = await heldModel()
  const { dataDir, apiKey } = bootstrapDataDir()
  const acme = new Caller(await startServerProcess(dataDir, model.env), apiKey)
  const tasks = ['a', 'b', 'c'].map((id) => ({ id, prompt: id, dependencies: id === 'a' ? [] : ['a'] }))
  model.hold('b', 'c')
  const id = await acme.begin(tasks)
  await expect.poll(() => model.calls.length, { timeout: 10_000 }).toBe(3)
  await acme.server.kill()
  // At whatever it is doing when it has just begun to listen: it has taken the execution, or is about to.
  const recovering = await startServerProcess(dataDir, model.env)
  await recovering.kill()
  model.letGo('b', 'c')

  acme.server = await startServerProcess(dataDir, model.env)

  expect(await acme.until(id, 'completed')).toMatchObject({ completedTasks: 3, failedTasks: 0, retryCount: 0 })
  expect(model.of('a')).toHaveLength(1)
  for (const name of ['b', 'c']) {
    expect(new Set(model.of(name).map(({ idempotencyKey }) => idempotencyKey))).toEqual(new Set([`${id}/${name}/0`]))
  }
}, 90_000)

test('an execution that gets on between the deaths of its processes is not parked, however many there are', async () => {
  const model = await heldModel()
  const { dataDir, apiKey } = bootstrapDataDir()
  const names = ['a', 'b', 'c', 'd', 'e']
  const acme = new Caller(await startServerProcess(dataDir, model.env), apiKey)
  model.hold(...names)
  const id = await acme.begin(
    names.map((name, index) => ({ id: name, prompt: name, dependencies: names.slice(0, index) })),
  )
  for (const [index, name] of names.entries()) {
    await expect.poll(() => model.of(name).length, { timeout: 10_000 }).toBe(1)
    await acme.server.kill()
    acme.server = await startServerProcess(dataDir, model.env)
    await expect.poll(() => model.of(name).length, { timeout: 10_000 }).toBe(2)
    model.letGo(name)
    await expect.poll(async () => (await acme.details(id)).completedTasks, { timeout: 10_000 }).toBe(index + 1)
  }
  expect(await acme.until(id, 'completed')).toMatchObject({ completedTasks: 5, retryCount: 0 })
}, 120_000)
