import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { Models } from '#desiagent/models/registry.ts'

interface Call {
  url: string
  headers: Record<string, unknown>
  // biome-ignore lint/suspicious/noExplicitAny: each protocol has its own shape
  body: any
}

/** A local server that answers every call with this status and body, and remembers what it was asked. */
async function providerServer(status: number, answer: object): Promise<{ url: string; calls: Call[] }> {
  const calls: Call[] = []
  const server = createServer(async (request, response) => {
    let text = ''
    for await (const chunk of request) text += chunk
    calls.push({ url: request.url ?? '', headers: request.headers, body: JSON.parse(text) })
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => void server.close())
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

// The shapes of each provider's own API reference.
const ANSWERS = {
  anthropic: {
    model: 'claude-haiku-4-5',
    path: '/v1/messages',
    base: '/v1',
    key: 'x-api-key',
    answer: {
      id: 'msg_1',
      type: 'message',
      role: 'assistant',
      model: 'claude-haiku-4-5',
      stop_reason: 'end_turn',
      stop_sequence: null,
      content: [{ type: 'text', text: 'hello' }],
      usage: { input_tokens: 60, output_tokens: 20, cache_read_input_tokens: 40, cache_creation_input_tokens: 0 },
    },
  },
  google: {
    model: 'gemini-2.5-flash',
    path: '/v1beta/models/gemini-2.5-flash:generateContent',
    base: '/v1beta',
    key: 'x-goog-api-key',
    answer: {
      candidates: [{ content: { role: 'model', parts: [{ text: 'hello' }] }, finishReason: 'STOP', index: 0 }],
      usageMetadata: {
        promptTokenCount: 100,
        candidatesTokenCount: 20,
        totalTokenCount: 120,
        cachedContentTokenCount: 40,
      },
    },
  },
  openrouter: {
    model: 'openai/gpt-5-mini',
    path: '/v1/chat/completions',
    base: '/v1',
    key: 'authorization',
    answer: {
      id: '1',
      object: 'chat.completion',
      created: 1,
      model: 'openai/gpt-5-mini',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }],
      usage: {
        prompt_tokens: 100,
        completion_tokens: 20,
        total_tokens: 120,
        prompt_tokens_details: { cached_tokens: 40 },
      },
    },
  },
} as const

for (const [provider, { model, path, base, key, answer }] of Object.entries(ANSWERS) as [
  keyof typeof ANSWERS,
  (typeof ANSWERS)['google'],
][]) {
  describe(provider, () => {
    const models = (url: string) =>
      new Models({
        defaultProvider: provider,
        defaultModel: model,
        providers: { [provider]: { apiKey: 'secret-key', baseUrl: url + base } },
      })

    test('is spoken to in its own protocol, and what it counted is what we bill', async () => {
      const server = await providerServer(200, answer)
      const chosen = models(server.url).resolve()

      const { text, usage } = await chosen.generate(REQUEST)

      expect(text).toBe('hello')
      expect(usage).toEqual({ promptTokens: 100, completionTokens: 20, totalTokens: 120, cachedTokens: 40 })
      expect(chosen.cost(usage)).toBeGreaterThan(0)
      expect(server.calls[0]?.url).toBe(path)
      expect(String(server.calls[0]?.headers[key])).toContain('secret-key')
      expect(server.calls[0]?.headers['idempotency-key']).toBe('e/1/0')
      expect(JSON.stringify(server.calls[0]?.body)).toContain('Be brief.')
    })

    test('a refused key, a limit and a failure are told apart', async () => {
      for (const [status, code] of [
        [401, 'key_refused'],
        [429, 'rate_limited'],
        [500, 'server_error'],
        [400, 'bad_request'],
      ] as const) {
        const server = await providerServer(status, { error: { message: 'no', type: 'x', code: status, status: 'X' } })
        await expect(models(server.url).resolve().generate(REQUEST)).rejects.toMatchObject({ code })
      }
    })
  })
}

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
