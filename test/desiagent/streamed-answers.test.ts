import { setTimeout } from 'node:timers/promises'
import type { LanguageModelV4, LanguageModelV4StreamPart, LanguageModelV4Usage } from '@ai-sdk/provider'
import { describe, expect, test } from 'vitest'
import { aiSdkModel } from '#desiagent/models/ai-sdk-model.ts'
import type { ModelError, ModelRequest } from '#desiagent/models/model.ts'
import { Models } from '#desiagent/models/registry.ts'
import { chunksOf, openAiServer, type Reply } from '#test/support/openai-server.ts'

const USAGE: LanguageModelV4Usage = {
  inputTokens: { total: 10, noCache: 10, cacheRead: 0, cacheWrite: 0 },
  outputTokens: { total: 5, text: 5, reasoning: 0 },
}
const FINISH: LanguageModelV4StreamPart = {
  type: 'finish',
  finishReason: { unified: 'stop', raw: 'stop' },
  usage: USAGE,
}
const says = (delta: string): LanguageModelV4StreamPart => ({ type: 'text-delta', id: '0', delta })

function request(more: Partial<ModelRequest> = {}): ModelRequest {
  return {
    task: 'answer',
    agentName: 'inference',
    instructions: 'Be brief.',
    messages: ['Say hello.'],
    idempotencyKey: 'e/1/0',
    signal: new AbortController().signal,
    ...more,
  }
}

const fails = (answer: Promise<unknown>) =>
  answer.then(
    () => expect.fail('it answered'),
    (error: ModelError) => error,
  )

/** A model that streams whatever the test writes, and takes no notice of any signal. */
function writtenModel() {
  const seen = { whole: 0, streamed: 0, letGo: 0 }
  let controller: ReadableStreamDefaultController<LanguageModelV4StreamPart>
  const stream = new ReadableStream<LanguageModelV4StreamPart>({
    start: (given) => {
      controller = given
    },
    cancel: () => {
      seen.letGo += 1
    },
  })
  const language: LanguageModelV4 = {
    specificationVersion: 'v4',
    provider: 'x',
    modelId: 'x',
    supportedUrls: {},
    async doGenerate() {
      seen.whole += 1
      const content = [{ type: 'text' as const, text: '{"is":"whole"}' }]
      return { content, finishReason: { unified: 'stop', raw: 'stop' }, usage: USAGE, warnings: [] }
    },
    async doStream() {
      seen.streamed += 1
      return { stream }
    },
  }
  const model = aiSdkModel(language, { provider: 'x', id: 'x', cost: () => 1, priceVersion: 'v1' })
  const write = (...parts: LanguageModelV4StreamPart[]) => parts.forEach((part) => void controller.enqueue(part))
  return { model, seen, write, end: () => controller.close() }
}

describe('a listener', () => {
  test('that throws, at once or later, breaks nothing', async () => {
    const { model, write, end } = writtenModel()
    let told = 0
    const onText = () => {
      told += 1
      if (told === 1) throw new Error('a listener’s own affair')
      return Promise.reject(new Error('the same, later'))
    }
    write(says('he'), says('llo'), FINISH)
    end()
    expect(await model.generate(request({ onText }))).toMatchObject({ text: 'hello', isComplete: true })
    expect(told).toBe(2)
    await setTimeout(1) // an unhandled rejection would be told now
  })

  test('hears neither thoughts, nor empty pieces, nor what is no text', async () => {
    const { model, write, end } = writtenModel()
    const pieces: string[] = []
    write({ type: 'stream-start', warnings: [] }, { type: 'reasoning-start', id: 'r' })
    write({ type: 'reasoning-delta', id: 'r', delta: 'hm' }, { type: 'reasoning-end', id: 'r' })
    write({ type: 'text-start', id: '0' }, says(''), says('hello'), { type: 'text-end', id: '0' }, FINISH)
    end()
    const { text } = await model.generate(request({ onText: (piece) => pieces.push(piece) }))
    expect([text, ...pieces]).toEqual(['hello', 'hello'])
  })

  test('hears each piece while the model is still answering', async () => {
    const { model, write, end } = writtenModel()
    const heard = Promise.withResolvers<string>()
    const answer = model.generate(request({ onText: heard.resolve }))
    write(says('hel'))
    expect(await heard.promise).toBe('hel')
    write(says('lo'), FINISH)
    end()
    expect((await answer).text).toBe('hello')
  })

  test('is not told of a structured answer, and without one nothing is streamed', async () => {
    const { model, seen } = writtenModel()
    const onText = () => expect.fail('told')
    const output = { name: 'plan', schema: { type: 'object' } }
    expect((await model.generate(request({ onText, output }))).text).toBe('{"is":"whole"}')
    await model.generate(request())
    expect(seen).toEqual({ whole: 2, streamed: 0, letGo: 0 })
  })
})

describe('a stream', () => {
  test('that is stopped ends at once, is let go, and nothing of it is told any more', async () => {
    const { model, seen, write } = writtenModel()
    const stop = new AbortController()
    const pieces: string[] = []
    const onText = (piece: string) => {
      pieces.push(piece)
      if (piece === 'lo') stop.abort()
    }
    const failure = fails(model.generate(request({ onText, signal: stop.signal })))
    write(says('hel'), says('lo'), says(', you'), FINISH)
    expect(await failure).toMatchObject({ code: 'aborted', usage: null })
    expect(pieces).toEqual(['hel', 'lo'])
    expect(seen.letGo).toBe(1)
  })

  test('that is stopped before it has said anything is let go', async () => {
    const { model, seen } = writtenModel()
    const failure = await fails(model.generate(request({ onText: () => {}, signal: AbortSignal.abort() })))
    expect(failure).toMatchObject({ code: 'aborted', usage: null })
    expect(seen.letGo).toBe(1)
  })

  test('that stalls ends with its time', async () => {
    const { model, seen, write } = writtenModel()
    const failure = fails(model.generate(request({ onText: () => {}, signal: AbortSignal.timeout(30) })))
    write(says('hel'))
    expect(await failure).toMatchObject({ code: 'aborted', usage: null })
    expect(seen.letGo).toBe(1)
  })

  test('that fails is let go', async () => {
    const { model, seen, write } = writtenModel()
    write(says('hel'), { type: 'error', error: { code: 'server_error', message: 'x' } })
    const failure = await fails(model.generate(request({ onText: () => {} })))
    expect(failure).toMatchObject({ code: 'server_error', isPassing: true, usage: null })
    expect(seen.letGo).toBe(1)
  })

  test.each([
    [{ code: 'insufficient_quota', message: 'x' }, 'quota_exhausted'],
    [{ code: 429, message: 'x' }, 'rate_limited'],
    [{ code: '429', message: 'x' }, 'rate_limited'],
    [{ type: 'rate_limit_error', message: 'x' }, 'rate_limited'],
    [{ code: 'context_length_exceeded', type: 'invalid_request_error', message: 'x' }, 'bad_request'],
    [{ statusCode: 529, type: 'overloaded_error', message: 'x' }, 'server_error'],
    [{ code: 'odd', message: 'x' }, 'server_error'],
    ['in words', 'server_error'],
    [null, 'server_error'],
  ])('that tells of an error is judged by what it says: %j', async (error, code) => {
    const { model, write } = writtenModel()
    write({ type: 'error', error })
    expect(await fails(model.generate(request({ onText: () => {} })))).toMatchObject({ code })
  })
})

describe('from a server', () => {
  const TEXT = 'The answer, in so many words.\n\n- and  a list\n'

  async function asked(reply: Reply, more: Partial<ModelRequest> = {}) {
    const server = await openAiServer(() => reply)
    const providers = { openai: { apiKey: 'x', baseUrl: server.url } }
    const model = new Models({ defaultProvider: 'openai', providers }).resolve()
    const pieces: string[] = []
    const answer = model.generate(request({ onText: (piece) => pieces.push(piece), ...more }))
    return { answer, pieces, server }
  }

  test('an answer comes word for word as it is sent', async () => {
    const usage = { prompt_tokens: 9, completion_tokens: 3, cached_tokens: 4 }
    const { answer, pieces } = await asked({ text: TEXT, chunkDelayMs: 1, usage })
    expect(await answer).toEqual({
      text: TEXT,
      usage: { promptTokens: 9, completionTokens: 3, totalTokens: 12, cachedTokens: 4 },
      isComplete: true,
    })
    expect(pieces).toEqual(chunksOf(TEXT))
  })

  test('a connection that breaks after some words is cut', async () => {
    const { answer, pieces } = await asked({ text: TEXT, cutAfterChunks: 3 })
    expect(await fails(answer)).toMatchObject({ code: 'cut', usage: null })
    expect(pieces).toEqual(chunksOf(TEXT).slice(0, 3))
  })

  test.each([
    ['before its first word', { text: TEXT, delayMs: 60_000 }, []],
    ['in the midst of it', { text: TEXT, chunkDelayMs: 60_000 }, ['The']],
  ])('a call that is stopped %s gives its connection back', async (_, reply, heard) => {
    const stop = new AbortController()
    const { answer, pieces, server } = await asked(reply, { signal: stop.signal })
    const failure = fails(answer)
    await expect.poll(() => [server.calls.length, pieces]).toEqual([1, heard])
    stop.abort()
    expect(await failure).toMatchObject({ code: 'aborted', usage: null })
    await expect.poll(() => server.connections().open).toBe(0)
  })

  test('an answer that is read to its end leaves the connection for the next call', async () => {
    const { answer, server } = await asked(TEXT)
    await answer
    const providers = { openai: { apiKey: 'x', baseUrl: server.url } }
    const model = new Models({ defaultProvider: 'openai', providers }).resolve()
    for (let call = 0; call < 5; call += 1) await model.generate(request({ onText: () => {} }))
    expect(server.connections().made).toBeLessThan(4)
  })
})
