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
  /** The connection ended before the answer did, whoever ended it. */
  isBrokenOff: boolean
}

/** An answer in words. */
export interface Answer {
  text: string
  /** Before the first word of it. */
  delayMs?: number
  /** Of a streamed answer: before each further chunk. */
  chunkDelayMs?: number
  /** Of a streamed answer: the connection breaks after so many chunks of text. */
  cutAfterChunks?: number
  /** `length`: the answer was cut at its token limit. */
  finishReason?: 'stop' | 'length'
  usage?: { prompt_tokens: number; completion_tokens: number; cached_tokens?: number }
}

/**
 * What the server does with a call: answer with text, fail with a status, or misbehave. The same whether the answer is
 * asked for as a stream or whole; `cut!` breaks in the midst of either.
 */
export type Reply =
  | string
  | Answer
  | { status: number; body?: unknown; headers?: Record<string, string> }
  | 'garbage!'
  | 'cut!'
  | 'hang!'

export type ModelScript = (call: ModelCall) => Reply | Promise<Reply>

export interface OpenAiServer {
  /** For OPENAI_BASE_URL. */
  url: string
  calls: ModelCall[]
  /** How many connections there have been, and how many are open. */
  connections(): { made: number; open: number }
  env: { OPENAI_BASE_URL: string; OPENAI_API_KEY: string; LLM_MODEL: string }
}

/**
 * A local server that speaks OpenAI's chat completions; `script` decides each answer. It lists its models to whoever
 * asks. Closed when the test ends.
 */
export async function openAiServer(script: ModelScript): Promise<OpenAiServer> {
  const { close, ...server } = await listenAsOpenAi(script)
  onTestFinished(close)
  return server
}

/** The same for whoever closes it themselves. */
export async function listenAsOpenAi(script: ModelScript): Promise<OpenAiServer & { close(): void }> {
  const calls: ModelCall[] = []
  const server = createServer(async (request, response) => {
    if (request.method === 'GET') {
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"object":"list","data":[]}')
      return
    }
    const call = await readCall(request).catch(() => null)
    if (!call) return // who asked is gone before the question was whole
    calls.push(call)
    response.once('close', () => {
      call.isBrokenOff = !response.writableFinished
    })
    await reply(response, await script(call), call)
  })
  const connections = { made: 0, open: 0 }
  server.on('connection', (socket) => {
    connections.made += 1
    connections.open += 1
    socket.once('close', () => {
      connections.open -= 1
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`
  return {
    url,
    calls,
    connections: () => connections,
    env: { OPENAI_BASE_URL: url, OPENAI_API_KEY: 'sk-fake', LLM_MODEL: 'gpt-5-mini' },
    close() {
      server.closeAllConnections()
      server.close()
    },
  }
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
    isBrokenOff: false,
  }
}

function taskOf(system: string): ModelCall['task'] {
  if (system.startsWith('You turn a user')) return 'plan'
  if (system.startsWith('You name pieces')) return 'title'
  return system.startsWith('You write the final answer') ? 'synthesis' : 'answer'
}

async function reply(response: ServerResponse, wanted: Reply, call: ModelCall): Promise<void> {
  if (wanted === 'hang!') return
  if (wanted === 'cut!') return call.body.stream ? streamAnswer(response, CUT, call) : cutWhole(response)
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
  const answer = typeof wanted === 'string' ? { text: wanted } : wanted
  await (call.body.stream ? streamAnswer(response, answer, call) : answerWhole(response, answer, call))
}

const CUT: Answer = { text: 'half of an ans', cutAfterChunks: 2 }

function cutWhole(response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' }).write('{"id":')
  setTimeout(() => response.destroy(), 5)
}

async function answerWhole(response: ServerResponse, answer: Answer, call: ModelCall): Promise<void> {
  const { text, delayMs = 0, finishReason = 'stop' } = answer
  await wait(delayMs)
  if (response.destroyed) return
  const message = { role: 'assistant', content: text }
  const completion = {
    ...headOf(call, 'chat.completion'),
    choices: [{ index: 0, finish_reason: finishReason, message }],
    usage: usageOf(answer),
  }
  response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(completion))
}

/** As OpenAI does it: who speaks, the text in pieces, why it ended, and what was counted if that is asked for. */
async function streamAnswer(response: ServerResponse, answer: Answer, call: ModelCall): Promise<void> {
  const { text, delayMs = 0, chunkDelayMs = 0, cutAfterChunks, finishReason = 'stop' } = answer
  const send = (data: object | '[DONE]') =>
    response.write(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
  const chunk = (delta: object, reason: string | null = null) =>
    send({ ...headOf(call, 'chat.completion.chunk'), choices: [{ index: 0, delta, finish_reason: reason }] })

  await wait(delayMs)
  if (response.destroyed) return
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
  chunk({ role: 'assistant', content: '' })
  const pieces = chunksOf(text).slice(0, cutAfterChunks)
  for (const [index, content] of pieces.entries()) {
    if (index > 0) await wait(chunkDelayMs)
    if (response.destroyed) return
    chunk({ content })
  }
  if (cutAfterChunks !== undefined) {
    await wait(5) // so that what was written goes out before
    response.destroy()
    return
  }
  chunk({}, finishReason)
  if (asksForUsage(call)) send({ ...headOf(call, 'chat.completion.chunk'), choices: [], usage: usageOf(answer) })
  send('[DONE]')
  response.end()
}

/** The words of a text, each with the space before it: put together they are the text. */
export function chunksOf(text: string): string[] {
  return text.match(/\s*\S+|\s+$/g) ?? []
}

function asksForUsage({ body }: ModelCall): boolean {
  return (body.stream_options as { include_usage?: boolean } | undefined)?.include_usage === true
}

function headOf(call: ModelCall, object: string) {
  return { id: 'chatcmpl-1', object, created: 1, model: call.body.model }
}

function usageOf({ usage = { prompt_tokens: 100, completion_tokens: 20 } }: Answer) {
  const { prompt_tokens, completion_tokens, cached_tokens = 0 } = usage
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens },
  }
}

async function wait(ms: number): Promise<void> {
  // A slow answer nobody waits for any more keeps no process alive.
  if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms).unref())
}
