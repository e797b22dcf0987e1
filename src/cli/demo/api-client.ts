import { setTimeout as pause } from 'node:timers/promises'
import { Agent, fetch, type Response } from 'undici'
import type { z } from 'zod'
import { CLOSING_EVENTS, type ExecutionEvent } from '#desiagent/events.ts'
import type { Artifact } from '#features/workflows/artifacts/contract.ts'
import type { ExecutionCost } from '#features/workflows/costs/contract.ts'
import type { CreateDag, Dag } from '#features/workflows/dags/contract.ts'
import type { Execution, SubStep } from '#features/workflows/executions/contract.ts'
import { CommandError } from '../command-error.ts'
import { readEventStream } from './event-stream.ts'
import { sentence } from './words.ts'

export type Cost = z.infer<typeof ExecutionCost>
export type WrittenFile = z.infer<typeof Artifact>
export type EndedExecution = Execution & { subSteps: SubStep[] }

/** The server sends a heartbeat every 15 s; a connection that is silent for three of them is dead. */
const SILENCE_LIMIT_MS = 45_000
/** How often a stream may break without a new event before the demo gives up. */
const MAX_RECONNECTS = 5

/** The demo's calls, over HTTP as anybody's. What the API refuses is thrown as its sentence. */
export class ApiClient {
  readonly baseUrl: string
  readonly #apiKey: string
  readonly #signal: AbortSignal
  // No limit on the wait for an answer: planning with a slow local model may take longer than fetch's five minutes.
  readonly #agent = new Agent({ headersTimeout: 0, bodyTimeout: SILENCE_LIMIT_MS })

  constructor(serverUrl: string, apiKey: string, signal: AbortSignal) {
    this.baseUrl = `${serverUrl}/api/v2`
    this.#apiKey = apiKey
    this.#signal = signal
  }

  close(): Promise<void> {
    return this.#agent.destroy()
  }

  getReadiness(): Promise<{ provider: string; model: string }> {
    return this.#json('GET', '/health/ready')
  }

  /** Plans a goal; the DAG then has a plan, or a question. */
  async createDag(body: CreateDag): Promise<Dag> {
    return (await this.#json<{ dag: Dag }>('POST', '/dags', body)).dag
  }

  async resumeClarification(dagId: string, userResponse: string): Promise<Dag> {
    return (await this.#json<{ dag: Dag }>('POST', `/dags/${dagId}/resume-clarification`, { userResponse })).dag
  }

  async executeDag(dagId: string): Promise<string> {
    return (await this.#json<{ id: string }>('POST', `/dags/${dagId}/execute`)).id
  }

  getExecutionDetails(executionId: string): Promise<EndedExecution> {
    return this.#json('GET', `/executions/${executionId}/details`)
  }

  getExecutionCost(executionId: string): Promise<Cost> {
    return this.#json('GET', `/costs/executions/${executionId}`)
  }

  async listArtifacts(executionId: string): Promise<WrittenFile[]> {
    return (await this.#json<{ data: WrittenFile[] }>('GET', `/executions/${executionId}/artifacts?limit=100`)).data
  }

  artifactUrl({ executionId, id }: WrittenFile): string {
    return `${this.baseUrl}/executions/${executionId}/artifacts/${id}`
  }

  /** Every event of an execution once, in order, until it ends or rests; a broken stream is taken up where it broke. */
  async *followExecution(executionId: string): AsyncGenerator<ExecutionEvent> {
    let lastId = '0'
    for (let broken = 0; broken <= MAX_RECONNECTS; broken += 1) {
      if (broken > 0) await pause(100 * 2 ** broken, undefined, { signal: this.#signal })
      try {
        const response = await this.#send('GET', `/executions/${executionId}/events`, null, { 'last-event-id': lastId })
        if (!response.body) return
        for await (const { id, data } of readEventStream(response.body)) {
          lastId = id
          broken = 0
          const event = JSON.parse(data) as ExecutionEvent
          yield event
          if (CLOSING_EVENTS.has(event.type)) return
        }
      } catch (error) {
        if (this.#signal.aborted || error instanceof CommandError) throw error
      }
    }
    throw new CommandError('The stream of events broke off again and again.')
  }

  async #json<T>(method: string, path: string, body: object | null = null): Promise<T> {
    const response = await this.#send(method, path, body)
    return (await response.json()) as T
  }

  async #send(method: string, path: string, body: object | null, more: Record<string, string> = {}): Promise<Response> {
    const response = await fetch(this.baseUrl + path, {
      method,
      headers: {
        authorization: `Bearer ${this.#apiKey}`,
        ...(body ? { 'content-type': 'application/json' } : {}),
        ...more,
      },
      body: body ? JSON.stringify(body) : null,
      dispatcher: this.#agent,
      signal: this.#signal,
    })
    if (!response.ok) throw new CommandError(refusal(response.status, await response.text()))
    return response
  }
}

/** The sentence of an error answer, with what its details add to it. */
function refusal(status: number, text: string): string {
  try {
    const { message, details } = JSON.parse(text) as { message: string; details: unknown }
    return [message, ...particulars(details)].map(sentence).join(' ')
  } catch {
    return `The API answered with status ${status}.`
  }
}

function particulars(details: unknown): string[] {
  if (Array.isArray(details)) return details.map(({ path, message }) => `${path}: ${message}`)
  return (details as { problems?: string[] } | null)?.problems ?? []
}
