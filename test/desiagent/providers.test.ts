import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { ModelError } from '#desiagent/models/model.ts'
import { Models } from '#desiagent/models/registry.ts'
import { NO_USAGE } from '#desiagent/usage.ts'
import { PROTOCOLS, type Protocol } from './provider-protocols.ts'

interface Call {
  url: string
  headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: each protocol has its own shape
  body: any
}

/** Writes one answer of a provider's server. */
type Speak = (response: ServerResponse) => void

const whole =
  (status: number, answer: object, headers: Record<string, string> = {}): Speak =>
  (response) =>
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(answer))

/** Each event on its own, as a model takes its time between two. */
const streamed =
  (events: readonly string[], end: Speak = (response) => response.end()): Speak =>
  async (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const event of events) {
      response.write(event)
      await setTimeout(2)
    }
    end(response)
  }

/** A local server that answers every call in this way, and remembers what it was asked. */
async function providerServer(speak: Speak): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    calls.push({ url: request.url ?? '', headers: request.headers, body: JSON.parse(text) })
    speak(response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls }
}

const REQUEST = {
  task: 'answer' as const,
  agentName: 'inference',
  instructions: 'Be brief.',
  messages: ['Say hello.'],
  maxTokens: 50,
  idempotencyKey: 'e/1/0',
  signal: new AbortController().signal,
}

const COUNTED = { promptTokens: 100, completionTokens: 20, totalTokens: 120, cachedTokens: 40 }

for (const [provider, protocol] of Object.entries(PROTOCOLS) as [keyof typeof PROTOCOLS, Protocol][]) {
  describe(provider, () => {
    const { model, base } = protocol
    const connected = (url: string) =>
      new Models({
        defaultProvider: provider,
        defaultModel: model,
        providers: { [provider]: { apiKey: 'secret-key', baseUrl: url + base } },
      }).resolve()

    /** Asks a server that answers in this way for a stream. */
    async function streamedBy(speak: Speak) {
      const server = await providerServer(speak)
      const pieces: string[] = []
      const answer = connected(server.url).generate({ ...REQUEST, onText: (piece) => pieces.push(piece) })
      const failure = await answer.then(
        () => null,
        (error: ModelError) => error,
      )
      return { answer, failure, pieces, calls: server.calls }
    }

    test('is spoken to in its own protocol, and what it counted is what we bill', async () => {
      const server = await providerServer(whole(200, protocol.answer))
      const chosen = connected(server.url)

      const { text, usage } = await chosen.generate(REQUEST)

      expect(text).toBe('hello')
      expect(usage).toEqual(COUNTED)
      if (provider !== 'ollama') expect(chosen.cost(usage)).toBeGreaterThan(0)
      expect(server.calls[0]?.url).toBe(protocol.path)
      expect(String(server.calls[0]?.headers[protocol.key])).toContain('secret-key')
      expect(server.calls[0]?.headers['idempotency-key']).toBe('e/1/0')
      expect(JSON.stringify(server.calls[0]?.body)).toContain('Be brief.')
    })

    test('a refused key, a limit and a failure are told apart, whether or not it streams', async () => {
      for (const [status, code] of [
        [401, 'key_refused'],
        [429, 'rate_limited'],
        [500, 'server_error'],
        [400, 'bad_request'],
      ] as const) {
        const error = { error: { message: 'no', type: 'x', code: status, status: 'X' } }
        const refusing = whole(status, error, { 'retry-after': '7' })
        const { url } = await providerServer(refusing)
        const failure = await connected(url)
          .generate(REQUEST)
          .catch((thrown) => thrown)
        expect(failure).toMatchObject({ code, usage: NO_USAGE })
        if (status === 429) expect(failure).toMatchObject({ retryAfterMs: 7_000 })
        expect((await streamedBy(refusing)).failure).toEqual(failure)
      }
    })

    test('a streamed answer comes in pieces, and is the one the same call gives whole', async () => {
      const { stop, events, path } = protocol.streamed
      const server = await providerServer(whole(200, protocol.answer))
      const wanted = await connected(server.url).generate(REQUEST)

      const { answer, pieces, calls } = await streamedBy(streamed(events(stop)))

      expect(await answer).toEqual(wanted)
      expect(await answer).toEqual({ text: 'hello', usage: COUNTED, isComplete: true })
      expect(pieces).toEqual(['hel', 'lo'])
      expect(calls[0]?.url).toBe(path)
      const { stream: _, stream_options: __, ...asked } = calls[0]!.body
      expect(asked).toEqual(server.calls[0]?.body)
      for (const header of [protocol.key, 'idempotency-key', 'content-type'])
        expect(calls[0]?.headers[header]).toBe(server.calls[0]?.headers[header])
    })

    test('a streamed answer that ends at its length limit is told to be incomplete', async () => {
      const { length, events } = protocol.streamed
      const { answer } = await streamedBy(streamed(events(length)))
      expect(await answer).toEqual({ text: 'hello', usage: COUNTED, isComplete: false })
    })

    test('an error in the midst of a stream is told apart, and what it cost is not known', async () => {
      const { stop, events, error } = protocol.streamed
      const { failure, pieces } = await streamedBy(streamed([...untilFirstText(events(stop)), error.event]))
      expect(failure).toMatchObject({ code: error.code, usage: null })
      expect(pieces).toEqual(['hel'])
    })

    test('an error in place of a stream is what a status would be, and cost nothing', async () => {
      const { error } = protocol.streamed
      const { failure, pieces } = await streamedBy(streamed([error.event]))
      expect(failure).toMatchObject({ code: error.code, usage: NO_USAGE })
      expect(pieces).toEqual([])
    })

    test.each([
      ['breaks', (response: ServerResponse) => void response.destroy()],
      ['ends politely, but too early,', (response: ServerResponse) => void response.end()],
    ])('a stream that %s is cut, and what it cost is not known', async (_, end) => {
      const { stop, events } = protocol.streamed
      const { failure, pieces } = await streamedBy(streamed(untilFirstText(events(stop)), end))
      expect(failure).toMatchObject({ code: 'cut', usage: null })
      expect(pieces).toEqual(['hel'])
    })

    test.each([
      ['no event', ''],
      ['no event but a page', '<html>not a model</html>'],
      ['an event that is no JSON', 'data: <html>\n\n'],
      ['an event of another shape', 'data: {"type":"hello"}\n\n'],
    ])('a stream of %s is unusable', async (_, body) => {
      const { failure } = await streamedBy(streamed([body]))
      expect(failure).toMatchObject({ code: 'unusable_answer', usage: null })
    })

    test('an empty streamed answer is unusable, with what it cost', async () => {
      const { stop, events } = protocol.streamed
      const silent = events(stop).map((event) => event.replace('"hel"', '""').replace('"lo"', '""'))
      const { failure } = await streamedBy(streamed(silent))
      expect(failure).toMatchObject({ code: 'unusable_answer', usage: COUNTED })
    })
  })
}

function untilFirstText(events: string[]): string[] {
  return events.slice(0, events.findIndex((event) => event.includes('"hel"')) + 1)
}

describe.each(['openai', 'openrouter', 'ollama'] as const)('a server compatible with %s', (provider) => {
  const { answer, base, model, streamed: protocol } = PROTOCOLS[provider]

  async function asked(speak: Speak, isStreamed = true) {
    const server = await providerServer(speak)
    const providers = { [provider]: { apiKey: 'x', baseUrl: server.url + base } }
    const pieces: string[] = []
    const listening = isStreamed ? { onText: (piece: string) => pieces.push(piece) } : {}
    const models = new Models({ defaultProvider: provider, defaultModel: model, providers })
    return { answer: models.resolve().generate({ ...REQUEST, ...listening }), pieces, calls: server.calls }
  }

  test('may answer whole although asked for a stream, and is not asked a second time', async () => {
    const got = await asked(whole(200, answer))
    expect(await got.answer).toEqual({ text: 'hello', usage: COUNTED, isComplete: true })
    expect(got.pieces).toEqual(['hello'])
    expect(got.calls).toHaveLength(1)
    expect(got.calls[0]?.body).toMatchObject({ stream: true, stream_options: { include_usage: true } })
  })

  test('may answer whole without saying why it ended, as it may when nobody asks for a stream', async () => {
    const endless = { ...answer, choices: [{ index: 0, message: { role: 'assistant', content: 'hello' } }] }
    const got = await asked(whole(200, endless))
    const wanted = await asked(whole(200, endless), false)
    expect(await got.answer).toEqual(await wanted.answer)
    expect(await got.answer).toMatchObject({ text: 'hello', isComplete: false })
  })

  test('may call its stream JSON', async () => {
    const speak: Speak = (response) => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(protocol.events('stop').join(''))
    }
    expect(await (await asked(speak)).answer).toEqual({ text: 'hello', usage: COUNTED, isComplete: true })
  })

  test('that tells of its failure in the last chunk has not answered', async () => {
    const failing = [...untilFirstText(protocol.events('stop')), PROTOCOLS.openrouter.streamed.error.event]
    const got = await asked(streamed([...failing, 'data: [DONE]\n\n']))
    await expect(got.answer).rejects.toMatchObject({ code: 'server_error', usage: null })
  })
})

describe('who is asked', () => {
  const models = new Models({
    defaultProvider: 'openai',
    defaultModel: 'gpt-5',
    providers: { openai: { apiKey: 'a' }, anthropic: { apiKey: 'b' } },
  })
  const asked = (...choices: Parameters<Models['resolve']>) => {
    const { provider, id } = models.resolve(...choices)
    return `${provider}/${id}`
  }

  test('the request before the agent before the configuration', () => {
    expect(asked()).toBe('openai/gpt-5')
    expect(asked({}, { provider: 'anthropic', model: 'claude-opus-4-1' })).toBe('anthropic/claude-opus-4-1')
    expect(asked({ model: 'claude-sonnet-4-5' }, { provider: 'anthropic', model: 'x' })).toBe(
      'anthropic/claude-sonnet-4-5',
    )
    expect(asked({ provider: 'openai' }, { provider: 'anthropic', model: 'x' })).toBe('openai/gpt-5')
    expect(asked({ provider: 'anthropic' })).toBe('anthropic/claude-haiku-4-5')
  })

  test('a provider without its own key is refused, never replaced', () => {
    expect(() => models.resolve({ provider: 'google' })).toThrow(
      expect.objectContaining({ code: 'provider_not_configured' }),
    )
    expect(() => models.resolve({ provider: 'nonsense' })).toThrow(
      expect.objectContaining({ code: 'provider_not_configured' }),
    )
  })
})
