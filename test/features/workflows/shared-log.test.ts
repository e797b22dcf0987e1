import { expect, test } from 'vitest'
import { ExecutionNotFound } from '#desiagent/errors.ts'
import type { ExecutionEvent } from '#desiagent/events.ts'
import { FULL_PIECE, SharedLogs } from '#features/workflows/executions/shared-log.ts'
import { localWake } from '#kit/local-wake.ts'

const ID = '5d5f4a52-5f4c-4d3e-8a53-0a4dd8a54b9c'

/** A log that counts how often it is read. */
function fakeLog() {
  const log: ExecutionEvent[] = []
  const reads = { events: 0, executions: 0 }
  let status = 'running'
  let isThere = true
  const wake = localWake()
  const append = (type: 'execution:resumed' | 'execution:paused' | 'execution:cancelled', isWoken = true) => {
    log.push({ seq: log.length + 1, executionId: ID, ts: '2026-03-01T12:00:00.000Z', type, data: {} })
    if (isWoken) wake.notify(ID)
  }
  const executions = {
    async events(_id: string, after: number, limit: number) {
      reads.events += 1
      const found = log.slice(after, after + limit)
      await Promise.resolve()
      return found
    },
    async get() {
      reads.executions += 1
      if (!isThere) throw new ExecutionNotFound()
      return { status, lastEventSeq: log.length } as never
    },
  }
  const set = (to: string) => {
    status = to
  }
  const remove = () => {
    isThere = false
  }
  return { log, reads, append, set, remove, executions, logs: new SharedLogs(wake) }
}

test('readers at the same place share one read until the log grows, and are never told what is old', async () => {
  const { append, executions, logs, reads } = fakeLog()
  append('execution:resumed')
  const readers = Array.from({ length: 100 }, () => logs.join('t', ID))
  const readAll = (after: number) => Promise.all(readers.map((reader) => reader.read(executions, after, 0)))

  const first = await readAll(0)
  const again = await readAll(0)
  expect(new Set([...first, ...again].map(({ text }) => text)).size).toBe(1)
  expect(reads.events).toBe(1)
  await readAll(1)
  expect(reads.events).toBe(2)

  append('execution:paused')
  const then = await readAll(1)
  expect(reads.events).toBe(3)
  expect(then.every(({ last }) => last === 2)).toBe(true)
})

test('a read that the log outgrows while it is under way is nobody’s who comes after', async () => {
  const { append, executions, logs } = fakeLog()
  append('execution:resumed')
  const reader = logs.join('t', ID)
  const underWay = reader.read(executions, 0, 0)
  append('execution:paused')
  const [old, fresh] = await Promise.all([underWay, reader.read(executions, 0, 0)])
  expect([old.last, fresh.last]).toEqual([1, 2])
})

test('who knows of more than is kept is told it, although nobody was woken yet', async () => {
  const { append, executions, logs, set } = fakeLog()
  append('execution:cancelled')
  set('cancelled')
  const reader = logs.join('t', ID)
  expect(await reader.read(executions, 1, 1)).toMatchObject({ text: '', isEnd: true })

  set('running')
  append('execution:resumed', false)

  expect(await reader.read(executions, 1, 1)).toMatchObject({ isEnd: true }) // what it knew is still so
  expect(await logs.join('t', ID).read(executions, 1, 2)).toMatchObject({ last: 2, isEnd: false })
})

test('the end is where the execution rests; a deleted one has ended as well', async () => {
  const { append, executions, logs, set, remove } = fakeLog()
  const reader = logs.join('t', ID)
  append('execution:cancelled')
  expect(await reader.read(executions, 0, 0)).toMatchObject({ last: 1, isEnd: false }) // resumed right after
  set('cancelled')
  append('execution:cancelled')
  expect(await reader.read(executions, 1, 0)).toMatchObject({ last: 2, isEnd: true })
  remove()
  append('execution:paused')
  expect(await reader.read(executions, 3, 0)).toMatchObject({ text: '', isEnd: true })
})

test('an end that was overtaken between two reads is not the end', async () => {
  const { append, executions, logs, set } = fakeLog()
  append('execution:cancelled')
  set('cancelled')
  const overtaken = {
    events: executions.events,
    async get() {
      append('execution:resumed')
      append('execution:cancelled')
      return executions.get()
    },
  }
  expect(await logs.join('t', ID).read(overtaken, 0, 0)).toMatchObject({ last: 1, isEnd: false })
})

test('a long log comes in pieces of a hundred events, and in smaller ones where they are long', async () => {
  const { append, executions, log, logs } = fakeLog()
  for (let i = 0; i < 250; i += 1) append('execution:resumed', false)
  const reader = logs.join('t', ID)
  const lasts = []
  for (let last = 0; last < 250; ) {
    const piece = await reader.read(executions, last, 0)
    last = piece.last
    lasts.push([last, piece.isNewest])
  }
  expect(lasts).toEqual([
    [100, false],
    [200, false],
    [250, true],
  ])

  for (const event of log) Object.assign(event, { data: { text: 'x'.repeat(FULL_PIECE / 2) } })
  const piece = await logs.join('t', ID).read(executions, 10, 0)
  expect(piece).toMatchObject({ last: 12, isNewest: false, isEnd: false })
})

test('what fails is asked again, and what nobody follows is forgotten', async () => {
  const { append, executions, logs, reads } = fakeLog()
  append('execution:resumed')
  const reader = logs.join('t', ID)
  const failing = { ...executions, events: () => Promise.reject(new Error('busy')) }
  await expect(reader.read(failing, 0, 0)).rejects.toThrow('busy')
  expect((await reader.read(executions, 0, 0)).last).toBe(1)

  const other = logs.join('t', ID)
  other.leave()
  await reader.read(executions, 0, 0)
  expect(reads.events).toBe(1)
  reader.leave()
  await logs.join('t', ID).read(executions, 0, 0)
  expect(reads.events).toBe(2)
})

test('two tenants’ logs are two, even of one name', async () => {
  const [here, there] = [fakeLog(), fakeLog()]
  here.append('execution:resumed')
  const wake = localWake()
  const logs = new SharedLogs(wake)
  expect((await logs.join('a', ID).read(here.executions, 0, 0)).last).toBe(1)
  expect((await logs.join('b', ID).read(there.executions, 0, 0)).last).toBe(0)
})
