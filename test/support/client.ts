import type { Api } from '#src/node/api.ts'
import { assertAsDocumented } from './documented.ts'
import { readEvents, type StreamedEvent } from './events.ts'

/** biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape */
type Json = any

export interface Answer<T = Json> {
  status: number
  body: T
  headers: Headers
}

/** Calls the application as a caller over HTTP would: paths below /api/v2, JSON in and out. */
export class Client {
  readonly key: string | null
  readonly #app: Api['app']
  readonly #address: string

  constructor(app: Api['app'], key: string | null, address = '192.0.2.1') {
    this.#app = app
    this.key = key
    this.#address = address
  }

  get = <T = Json>(path: string, headers?: Record<string, string>) => this.call<T>('GET', path, undefined, headers)
  post = <T = Json>(path: string, body?: unknown, headers?: Record<string, string>) =>
    this.call<T>('POST', path, body, headers)
  patch = <T = Json>(path: string, body?: unknown, headers?: Record<string, string>) =>
    this.call<T>('PATCH', path, body, headers)
  delete = <T = Json>(path: string, headers?: Record<string, string>) =>
    this.call<T>('DELETE', path, undefined, headers)

  async call<T = Json>(
    method: string,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<Answer<T>> {
    const json = body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }
    const type: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const response = await this.raw(`/api/v2${path}`, { method, ...json, headers: { ...type, ...headers } })
    const text = await response.text()
    assertAsDocumented(method, path, response, parsed(text))
    return { status: response.status, body: parsed(text) as T, headers: response.headers }
  }

  /** The response itself; the path is the whole one. */
  raw(path: string, init: RequestInit & { headers?: Record<string, string> } = {}): Promise<Response> {
    const authorization: Record<string, string> = this.key === null ? {} : { authorization: `Bearer ${this.key}` }
    const env = { incoming: { socket: { remoteAddress: this.#address } } }
    const request = new Request(`http://api.test${path}`, { ...init, headers: { ...authorization, ...init.headers } })
    return Promise.resolve(this.#app.fetch(request, env))
  }

  /** Follows an execution's stream to its end, or until it has told `most` events; then it hangs up. */
  async events(
    executionId: string,
    lastEventId?: number,
    most = Number.POSITIVE_INFINITY,
    query = '',
  ): Promise<StreamedEvent[]> {
    const headers: Record<string, string> = lastEventId === undefined ? {} : { 'last-event-id': String(lastEventId) }
    const response = await this.raw(`/api/v2/executions/${executionId}/events${query}`, { headers })
    if (response.status === 204) return []
    if (response.status !== 200) throw new Error(`events: ${response.status} ${await response.text()}`)
    const events: StreamedEvent[] = []
    for await (const event of readEvents(response)) {
      events.push(event)
      if (events.length >= most) break
    }
    return events
  }

  /** Plans a goal, executes the plan and waits until it ends or rests. */
  async run(goalText: string, more: object = {}): Promise<Json> {
    const { status, body } = await this.post('/create-execute', { goalText, ...more })
    if (status !== 202 || body.status !== 'executing')
      throw new Error(`create-execute: ${status} ${JSON.stringify(body)}`)
    return this.ended(body.executionId)
  }

  /** Executes a plan and waits until it ends or rests. */
  async runDefinition(definition: object, more: object = {}): Promise<Json> {
    const { status, body } = await this.post('/dags/execute-definition', { definition, ...more })
    if (status !== 202) throw new Error(`execute-definition: ${status} ${JSON.stringify(body)}`)
    return this.ended(body.id)
  }

  /** The execution with its sub-steps, once its stream has closed. */
  async ended(executionId: string): Promise<Json> {
    await this.events(executionId)
    return (await this.get(`/executions/${executionId}/details`)).body
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
