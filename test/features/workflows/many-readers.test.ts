import { expect, test } from 'vitest'
import { openAiServer } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { startApi } from '#test/support/start-api.ts'

const READERS = 500
const CHAIN = planOf([{ id: '1' }, { id: '2', dependencies: ['1'] }])

test('readers who are woken together leave others their turn in between', async () => {
  const { promise: held, resolve: goOn } = Promise.withResolvers<void>()
  const model = await openAiServer(async ({ messages }) => {
    if (messages.join('').includes('do 2')) await held
    return 'ok'
  })
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const { body: started } = await acme.post('/dags/execute-definition', { definition: CHAIN })
  const streams = Array.from({ length: READERS }, () => acme.events(started.id))
  await expect.poll(() => model.calls.length).toBe(2)

  let turns = 0
  let isOver = false
  const takeTurns = () => {
    turns += 1
    if (!isOver) setImmediate(takeTurns) // what a waiting socket would need
  }
  takeTurns()
  goOn()
  const told = await Promise.all(streams)
  isOver = true

  const complete = await acme.events(started.id)
  for (const events of told) expect(events).toEqual(complete)
  expect(turns).toBeGreaterThan(READERS / 25)
})

test('a thousand readers that come and go at random lose nothing, see nothing twice, and nothing out of order', async () => {
  const model = await openAiServer(() => ({ text: 'ok', delayMs: 40 }))
  const api = await startApi({ env: model.env })
  const acme = await api.tenant('acme')
  const tasks = Array.from({ length: 12 }, (_, i) => ({ id: String(i + 1), dependencies: i === 0 ? [] : [String(i)] }))
  const { body: started } = await acme.post('/dags/execute-definition', { definition: planOf(tasks) })

  const follow = async () => {
    const seen: number[] = []
    for (let disconnects = 0; ; disconnects += 1) {
      const most = disconnects < 5 ? 1 + Math.floor(Math.random() * 6) : Number.POSITIVE_INFINITY
      const part = await acme.events(started.id, seen.at(-1), most)
      seen.push(...part.map(({ id }) => id))
      if (part.length < most) return seen
    }
  }
  const all = await Promise.all(Array.from({ length: 1_000 }, follow))

  const complete = (await acme.events(started.id)).map(({ id }) => id)
  expect(complete).toEqual(complete.map((_, index) => index + 1))
  expect(all.filter((seen) => seen.join() !== complete.join())).toEqual([])
}, 60_000)
