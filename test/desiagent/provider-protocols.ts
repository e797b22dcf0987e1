/** How a provider's own API answers “hello”, in the shapes of its reference: 100 tokens in, 40 of them cached, 20 out. */
export interface Protocol {
  model: string
  /** Ends the base URL. */
  base: string
  /** The header with our key. */
  key: string
  path: string
  answer: object
  streamed: {
    path: string
    /** The answer as “hel” and “lo”, among events that are no text. @param end  in the provider's own words */
    events(end: string): string[]
    stop: string
    length: string
    /** What the provider says when it fails in the midst of an answer, and what that is to us. */
    error: { event: string; code: string }
  }
}

const event = (data: object) => `data: ${JSON.stringify(data)}\n\n`

/** Chat completions. @param thought  a delta that is no text @param comment  what may stand between two events */
function chatCompletions(model: string, thought: object, comment: string): Protocol {
  const usage = {
    prompt_tokens: 100,
    completion_tokens: 20,
    total_tokens: 120,
    prompt_tokens_details: { cached_tokens: 40 },
  }
  const head = { id: '1', object: 'chat.completion.chunk', created: 1, model }
  const chunk = (delta: object, finish_reason: string | null = null) =>
    event({ ...head, choices: [{ index: 0, delta, finish_reason, logprobs: null }], usage: null })
  return {
    model,
    base: '/v1',
    key: 'authorization',
    path: '/v1/chat/completions',
    answer: {
      ...head,
      object: 'chat.completion',
      choices: [{ index: 0, finish_reason: 'stop', message: { role: 'assistant', content: 'hello' } }],
      usage,
    },
    streamed: {
      path: '/v1/chat/completions',
      stop: 'stop',
      length: 'length',
      events: (end) => [
        comment,
        chunk({ role: 'assistant', content: '' }),
        chunk(thought),
        chunk({ content: 'hel' }),
        comment,
        chunk({ content: 'lo' }),
        chunk({}, end),
        event({ ...head, choices: [], usage }),
        'data: [DONE]\n\n',
      ],
      error: {
        event: event({ error: { message: 'slow down', type: 'requests', code: 'rate_limit_exceeded', param: null } }),
        code: 'rate_limited',
      },
    },
  }
}

const thought = { content: '', reasoning: 'a thought' }
const openRouter = chatCompletions('openai/gpt-5-mini', thought, ': OPENROUTER PROCESSING\n\n')

/** In an ordinary chunk, and its code is a status. */
const openRouterError = {
  code: 'server_error',
  event: event({
    id: '1',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'openai/gpt-5-mini',
    error: { code: 502, message: 'The provider hung up.' },
    choices: [{ index: 0, delta: { content: '' }, finish_reason: 'error' }],
  }),
}

const message = { id: 'msg_1', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_sequence: null }
const claudeUsage = { input_tokens: 60, cache_read_input_tokens: 40, cache_creation_input_tokens: 0 }
const claudeEvent = (type: string, data: object = {}) => `event: ${type}\n${event({ type, ...data })}`
const claudeDelta = (index: number, delta: object) => claudeEvent('content_block_delta', { index, delta })

const anthropic: Protocol = {
  model: 'claude-haiku-4-5',
  base: '/v1',
  key: 'x-api-key',
  path: '/v1/messages',
  answer: {
    ...message,
    stop_reason: 'end_turn',
    content: [{ type: 'text', text: 'hello' }],
    usage: { ...claudeUsage, output_tokens: 20 },
  },
  streamed: {
    path: '/v1/messages',
    stop: 'end_turn',
    length: 'max_tokens',
    events: (end) => [
      claudeEvent('message_start', {
        message: { ...message, stop_reason: null, content: [], usage: { ...claudeUsage, output_tokens: 1 } },
      }),
      claudeEvent('content_block_start', {
        index: 0,
        content_block: { type: 'thinking', thinking: '', signature: '' },
      }),
      claudeEvent('ping'),
      claudeDelta(0, { type: 'thinking_delta', thinking: 'a thought' }),
      claudeEvent('content_block_stop', { index: 0 }),
      claudeEvent('content_block_start', { index: 1, content_block: { type: 'text', text: '' } }),
      claudeDelta(1, { type: 'text_delta', text: 'hel' }),
      claudeEvent('ping'),
      claudeDelta(1, { type: 'text_delta', text: 'lo' }),
      claudeEvent('content_block_stop', { index: 1 }),
      claudeEvent('message_delta', { delta: { stop_reason: end, stop_sequence: null }, usage: { output_tokens: 20 } }),
      claudeEvent('message_stop'),
    ],
    error: {
      event: claudeEvent('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
      code: 'server_error',
    },
  },
}

const geminiUsage = (candidatesTokenCount: number) => ({
  promptTokenCount: 100,
  candidatesTokenCount,
  totalTokenCount: 100 + candidatesTokenCount,
  cachedContentTokenCount: 40,
})
const geminiAnswer = (part: object, tokens: number, finish: object = {}) => ({
  candidates: [{ content: { role: 'model', parts: [part] }, index: 0, ...finish }],
  usageMetadata: geminiUsage(tokens),
  responseId: 'r1',
})

const google: Protocol = {
  model: 'gemini-2.5-flash',
  base: '/v1beta',
  key: 'x-goog-api-key',
  path: '/v1beta/models/gemini-2.5-flash:generateContent',
  answer: geminiAnswer({ text: 'hello' }, 20, { finishReason: 'STOP' }),
  streamed: {
    path: '/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse',
    stop: 'STOP',
    length: 'MAX_TOKENS',
    events: (end) => [
      event(geminiAnswer({ text: 'a thought', thought: true }, 0)),
      event(geminiAnswer({ text: 'hel' }, 9)),
      event(geminiAnswer({ text: 'lo' }, 20, { finishReason: end })),
    ],
    error: {
      event: event({ error: { code: 429, message: 'slow down', status: 'RESOURCE_EXHAUSTED' } }),
      code: 'rate_limited',
    },
  },
}

export const PROTOCOLS = {
  openai: chatCompletions('gpt-5-mini', {}, ''),
  anthropic,
  google,
  openrouter: { ...openRouter, streamed: { ...openRouter.streamed, error: openRouterError } },
  ollama: chatCompletions('llama3.2', thought, ''),
} satisfies Record<string, Protocol>
