import { expect } from 'vitest'
import { planOf, type TaskSketch } from '#test/support/plans.ts'
import type { ServerProcess } from '#test/support/server-process.ts'

/** A caller of whichever process there is now. */
export class Caller {
  server: ServerProcess
  readonly #key: string

  constructor(server: ServerProcess, key: string) {
    this.server = server
    this.#key = key
  }

  /** Begins to execute a plan of these tasks. @returns the execution's id */
  async begin(tasks: TaskSketch[], more: object = {}): Promise<string> {
    const definition = planOf(tasks)
    const { status, body } = await this.post('/dags/execute-definition', { definition, ...more })
    expect(status, JSON.stringify(body)).toBe(202)
    return body.id
  }

  post = (path: string, body?: object) => this.server.call(this.#key, 'POST', path, body)

  details = async (id: string) => (await this.server.call(this.#key, 'GET', `/executions/${id}/details`)).body

  /** The execution with its sub-steps, once it has this status. */
  async until(id: string, status: string) {
    await expect
      .poll(async () => (await this.details(id)).status, { timeout: 20_000, interval: 50, message: id })
      .toBe(status)
    return this.details(id)
  }

  /** The types of its events so far, without `execution:`. */
  async typesOf(id: string): Promise<string[]> {
    const headers = { authorization: `Bearer ${this.#key}`, accept: 'application/json' }
    const response = await fetch(`${this.server.url}/api/v2/executions/${id}/events?limit=100`, { headers })
    const { data } = (await response.json()) as { data: { type: string }[] }
    return data.map(({ type }) => type.replace('execution:', ''))
  }
}
