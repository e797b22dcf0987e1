import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import {
  AISDKError,
  EmptyResponseBodyError,
  InvalidArgumentError,
  InvalidPromptError,
  InvalidResponseDataError,
  JSONParseError,
  type LanguageModelV4,
  LoadAPIKeyError,
  LoadSettingError,
  NoContentGeneratedError,
  NoSuchModelError,
  TypeValidationError,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider'
import { UnsupportedModelVersionError } from 'ai'
import { describe, expect, onTestFinished, test } from 'vitest'
import { aiSdkModel } from '#desiagent/models/ai-sdk-model.ts'
import type { ModelError, ModelRequest } from '#desiagent/models/model.ts'
import { Models } from '#desiagent/models/registry.ts'
import { NO_USAGE } from '#desiagent/usage.ts'

const REQUEST = {
  task: 'answer' as const,
  agentName: 'inference',
  instructions: 'Be brief.',
  messages: ['Say hello.'],
  idempotencyKey: 'e/1/0',
  signal: new AbortController().signal,
}

const STREAMED = { ...REQUEST, onText: () => {} }

/** What a call comes to when the AI SDK throws this, whether or not it is made as a stream. */
async function failureOf(thrown: unknown): Promise<ModelError> {
  const model: LanguageModelV4 = {
    specificationVersion: 'v4',
    provider: 'x',
    modelId: 'x',
    supportedUrls: {},
    doGenerate: () => Promise.reject(thrown),
    doStream: () => Promise.reject(thrown),
  }
  const identity = { provider: 'x', id: 'x', cost: () => 1, priceVersion: 'v1' }
  const failure = (request: ModelRequest) =>
    aiSdkModel(model, identity)
      .generate(request)
      .then(
        () => expect.fail('it answered'),
        (error: ModelError) => error,
      )
  const whole = await failure(REQUEST)
  expect(await failure(STREAMED)).toEqual(whole)
  return whole
}

const withCode = (code: string) => Object.assign(new Error('x'), { code })

describe('an error of the AI SDK', () => {
  test.each([
    new InvalidArgumentError({ argument: 'temperature', message: 'x' }),
    new InvalidPromptError({ prompt: 'x', message: 'x' }),
    new UnsupportedFunctionalityError({ functionality: 'x' }),
    new NoSuchModelError({ modelId: 'x', modelType: 'languageModel' }),
    new LoadSettingError({ message: 'x' }),
    new UnsupportedModelVersionError({ version: 'v9', provider: 'x', modelId: 'x' }),
  ])('about the request is not tried again and cost nothing: $name', async (thrown) => {
    expect(await failureOf(thrown)).toMatchObject({ code: 'bad_request', isPassing: false, usage: NO_USAGE })
  })

  test('about a missing key is for a person to cure and cost nothing', async () => {
    const failure = await failureOf(new LoadAPIKeyError({ message: 'x' }))
    expect(failure).toMatchObject({ code: 'key_refused', isPassing: false, usage: NO_USAGE })
  })

  test.each([
    new JSONParseError({ text: 'x', cause: new SyntaxError('x') }),
    new TypeValidationError({ value: 'x', cause: new Error('x') }),
    new InvalidResponseDataError({ data: 'x' }),
    new EmptyResponseBodyError(),
    new NoContentGeneratedError(),
    new AISDKError({ name: 'AI_NewInTheNextVersion', message: 'x' }),
  ])('about the answer is tried again, and what it cost is not known: $name', async (thrown) => {
    expect(await failureOf(thrown)).toMatchObject({ code: 'unusable_answer', isPassing: true, usage: null })
  })
})

describe('an error of no SDK', () => {
  test.each([
    ['a reset', withCode('ECONNRESET')],
    ['a name that is not found', withCode('EAI_AGAIN')],
    ['a closed socket below another error', new TypeError('x', { cause: withCode('UND_ERR_SOCKET') })],
    ['a fetch without a cause', new TypeError('fetch failed')],
    ['a connection lost on Workers', new Error('Network connection lost.')],
    ['an abort that is not ours', new DOMException('x', 'AbortError')],
  ])('is a cut connection when it is one: %s', async (_, thrown) => {
    expect(await failureOf(thrown)).toMatchObject({ code: 'cut', isPassing: true, usage: null })
  })

  test.each([
    ['a defect', new TypeError("Cannot read properties of undefined (reading 'x')")],
    ['a wrong header', withCode('ERR_INVALID_CHAR')],
    ['no error at all', 'x'],
  ])('is otherwise not taken for one, nor tried again: %s', async (_, thrown) => {
    expect(await failureOf(thrown)).toMatchObject({ code: 'bad_request', isPassing: false, usage: null })
  })

  test('does not tell its message, which may hold a secret', async () => {
    const failure = await failureOf(new TypeError('Bearer sk-secret is no header'))
    expect(failure.message).not.toContain('secret')
  })
})

describe.each([
  ['whole', REQUEST],
  ['as a stream', STREAMED],
])('over a real connection, asked for %s', (_, request) => {
  async function asked(answer: (response: ServerResponse) => void, more: object = {}) {
    let calls = 0
    const server = createServer((_, response) => {
      calls += 1
      answer(response)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const baseUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
    const models = new Models({ defaultProvider: 'openai', providers: { openai: { apiKey: 'x', baseUrl } } })
    const failure = await models
      .resolve()
      .generate({ ...request, ...more })
      .then(
        () => expect.fail('it answered'),
        (error: ModelError) => error,
      )
    return { failure, calls }
  }

  test('one that ends before the answer, or in the midst of it, is cut', async () => {
    const before = await asked((response) => response.destroy())
    const amidst = await asked((response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"id":')
      setTimeout(() => response.destroy(), 5)
    })
    expect(before.failure).toMatchObject({ code: 'cut', usage: null })
    expect(amidst.failure).toMatchObject({ code: 'cut', usage: null })
  })

  test('an answer in another shape is unusable', async () => {
    for (const text of ['<html>', '{"hello":"world"}', '[]', 'null', '']) {
      const { failure } = await asked((response) =>
        response.writeHead(200, { 'content-type': 'application/json' }).end(text),
      )
      expect(failure).toMatchObject({ code: 'unusable_answer', usage: null })
    }
  })

  test('a setting that no model takes is refused before anything is sent', async () => {
    for (const more of [{ maxTokens: 0.5 }, { maxTokens: 0 }, { seed: 0.5 }, { messages: [] }]) {
      const { failure, calls } = await asked((response) => response.end(), more)
      expect(failure).toMatchObject({ code: 'bad_request', usage: NO_USAGE })
      expect(calls).toBe(0)
    }
  })
})
