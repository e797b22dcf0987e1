import { Hono } from 'hono'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Bell } from '#kit/bell.ts'
import type { Env } from '#kit/http/env.ts'
import { formatMessage, type SseSource, sse } from '#kit/http/sse.ts'

beforeEach(() => {
  vi.useFakeTimers()
})
afterEach(() => {
  vi.useRealTimers()
})

/** A stream of what is put into it, and what its reader has got so far. */
async function streamed(readerLimitMs = 30_000) {
  const bell = new Bell()
  const log: { next: string[]; reads: number; ends: number; isOver: boolean } = {
    next: [],
    reads: 0,
    ends: 0,
    isOver: false,
  }
  const source: SseSource = {
    async read() {
      bell.hush()
      log.reads += 1
      return log.isOver ? null : log.next.splice(0).join('')
    },
    wait: (ms) => bell.wait(ms),
    end() {
      log.ends += 1
      bell.ring()
    },
  }
  const response = await new Hono<Env>().get('/', (c) => sse(c, source, readerLimitMs)).request('/')
  const got = { text: '', isOver: false, error: '' }
  const reader = (response.body as ReadableStream<Uint8Array>).getReader()
  const readOn = async () => {
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      got.text += new TextDecoder().decode(part.value)
    }
    got.isOver = true
  }
  const say = (...messages: string[]) => {
    log.next.push(...messages)
    bell.ring()
  }
  const read = () => {
    readOn().catch((error: Error) => {
      got.error = error.message
    })
  }
  return { response, reader, log, got, say, bell, read }
}

test('a stream begins at once, says what there is, and a comment every fifteen seconds when there is nothing', async () => {
  const { response, got, say, read } = await streamed()
  read()
  await vi.advanceTimersByTimeAsync(20)
  expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
  expect(got.text).toBe(': connected\n\n')

  say(formatMessage({ id: '1', event: 'a', data: '{}' }), formatMessage({ event: 'b', data: '1' }))
  await vi.advanceTimersByTimeAsync(20)
  expect(got.text).toBe(': connected\n\nid: 1\nevent: a\ndata: {}\n\nevent: b\ndata: 1\n\n')

  await vi.advanceTimersByTimeAsync(14_900)
  expect(got.text).not.toContain('heartbeat')
  await vi.advanceTimersByTimeAsync(30_200)
  expect(got.text.split(': heartbeat\n\n').length - 1).toBe(3)
})

test('wake-ups that bring nothing put no heartbeat off, and what no wake-up told of is told after the next', async () => {
  const { got, log, bell, read } = await streamed()
  read()
  for (let i = 0; i < 160; i += 1) {
    bell.ring()
    await vi.advanceTimersByTimeAsync(100)
  }
  expect(got.text.split(': heartbeat\n\n').length - 1).toBe(1)

  log.next.push('untold\n\n')
  await vi.advanceTimersByTimeAsync(15_100)
  expect(got.text).toContain('untold')
})

test('it is over when its source is, and lets go of it once', async () => {
  const { got, log, bell, read } = await streamed()
  read()
  await vi.advanceTimersByTimeAsync(20)
  log.isOver = true
  bell.ring()
  await vi.advanceTimersByTimeAsync(20)
  expect([got.isOver, log.ends]).toEqual([true, 1])
  expect(vi.getTimerCount()).toBe(0)
})

test('a reader that leaves while there is nothing to say leaves nothing behind', async () => {
  const { reader, log } = await streamed()
  await vi.advanceTimersByTimeAsync(20)
  await reader.read()
  await vi.advanceTimersByTimeAsync(20)
  await reader.cancel()
  await vi.advanceTimersByTimeAsync(20)
  expect(log.ends).toBe(1)
  expect(vi.getTimerCount()).toBe(0)
})

test('a reader that takes nothing is asked nothing further, and cut in time', async () => {
  const { got, log, say, read } = await streamed(1_000)
  for (let i = 0; i < 10; i += 1) {
    say('x')
    await vi.advanceTimersByTimeAsync(50)
  }
  expect(log.reads).toBeLessThanOrEqual(1)
  expect(log.ends).toBe(0)
  await vi.advanceTimersByTimeAsync(600)
  expect(log.ends).toBe(1)
  read()
  await vi.advanceTimersByTimeAsync(20)
  expect(got.error).toBe('the reader stopped reading')
  expect(vi.getTimerCount()).toBe(0)
})
