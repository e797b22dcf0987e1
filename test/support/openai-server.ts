import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { onTestFinished } from 'vitest'

/** One call as the model server saw it. */
export interface ModelCall {
  /** Which of our agents is asking, told from its system prompt. */
  task: 'plan' | 'title' | 'synthesis' | 'answer'
  system: string
  /** The user messages, in order. */
  messages: string[]
  idempotencyKey: string | undefined
  authorization: string | undefined
  body: Record<string, unknown>
}

/** What the server does with a call: answer with text, fail with a status, or misbehave. */
export type Reply =
  | string
  | {
      text: string
      delayMs?: number
      /** `length`: the answer was cut at its token limit. */
      finishReason?: 'stop' | 'length'
      usage?: { prompt_tokens: number; completion_tokens: number; cached_tokens?: number }
    }
  | { status: number; body?: unknown; headers?: Record<string, string> }
  | 'garbage!'
  | 'cut!'
  | 'hang!'

export interface OpenAiServer {
  /** For OPENAI_BASE_URL. */
  url: string
  calls: ModelCall[]
  env: { OPENAI_BASE_URL: string; OPENAI_API_KEY: string; LLM_MODEL: string }
}

/**
 * A local server that speaks OpenAI's chat completions; `script` decides each answer. It lists its models to whoever
 * asks. Closed when the test ends.
 */
export async function openAiServer(script: (call: ModelCall) => Reply | Promise<Reply>): Promise<OpenAiServer> {
  const calls: ModelCall[] = []
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
      return
    }
    const call = await readCall(request)
    calls.push(call)
    await reply(response, await script(call), call)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  onTestFinished(() => {
    server.closeAllConnections()
    server.close()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  return { url, calls, env: { OPENAI_BASE_URL: url, OPENAI_API_KEY: 'sk-fake', LLM_MODEL: 'gpt-5-mini' } }
}

async function readCall(request: IncomingMessage): Promise<ModelCall> {
  let text = ''
  for await (const chunk of request) text += chunk
  const body = JSON.parse(text) as { messages: { role: string; content: string | { text: string }[] }[] } & Record<
    string,
    unknown
  >
  const content = (role: string) =>
    body.messages
      .filter((message) => message.role === role || (role === 'system' && message.role === 'developer'))
      .map((message) =>
        typeof message.content === 'string' ? message.content : message.content.map((part) => part.text).join(''),
      )
  const system = content('system').join('\n')
  return {
    task: taskOf(system),
    system,
    messages: content('user'),
    idempotencyKey: request.headers['idempotency-key'] as string | undefined,
    authorization: request.headers.authorization,
    body,
  }
}

function taskOf(system: string): ModelCall['task'] {
  if (system.startsWith('You turn a user')) return 'plan'
  if (system.startsWith('You name pieces')) return 'title'
  return system.startsWith('You write the final answer') ? 'synthesis' : 'answer'
}

async function reply(response: ServerResponse, wanted: Reply, call: ModelCall): Promise<void> {
  if (wanted === 'hang!') return
  if (wanted === 'cut!') {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"id":')
    setTimeout(() => response.destroy(), 5)
    return
  }
  if (wanted === 'garbage!') {
    response.writeHead(200, { 'content-type': 'application/json' }).end('<html>not a model</html>')
    return
  }
  if (typeof wanted === 'object' && 'status' in wanted) {
    const body = wanted.body ?? { error: { message: 'scripted failure', type: 'scripted', code: null } }
    response
      .writeHead(wanted.status, { 'content-type': 'application/json', ...wanted.headers })
      .end(JSON.stringify(body))
    return
  }
  const {
    text,
    delayMs = 0,
    finishReason = 'stop',
    usage = { prompt_tokens: 100, completion_tokens: 20, cached_tokens: 0 },
  } = typeof wanted === 'string' ? { text: wanted } : wanted
  if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
  response
    .writeHead(200, { 'content-type': 'application/json' })
    .end(JSON.stringify(completion(text, finishReason, usage, call)))
}

function completion(
  text: string,
  finishReason: string,
  usage: { prompt_tokens: number; completion_tokens: number; cached_tokens?: number },
  call: ModelCall,
) {
  const { prompt_tokens, completion_tokens, cached_tokens = 0 } = usage
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1,
    model: call.body.model,
    choices: [{ index: 0, finish_reason: finishReason, message: { role: 'assistant', content: text } }],
    usage: {
      prompt_tokens,
      completion_tokens,
      total_tokens: prompt_tokens + completion_tokens,
      prompt_tokens_details: { cached_tokens },
    },
  }
}
