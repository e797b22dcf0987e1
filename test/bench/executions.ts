import { readEvents } from '#test/support/events.ts'
import { planOf } from '#test/support/plans.ts'
import type { BenchServer } from './children.ts'

export const STEPS = 10

/** Ten steps, each needing the one before: nothing hides behind a neighbour. */
const CHAIN = planOf(
  Array.from({ length: STEPS }, (_, index) => ({
    id: String(index + 1),
    prompt: 'Say hello.',
    dependencies: index === 0 ? [] : [String(index)],
  })),
)

/** Runs the ten-step plan again and again over HTTP, on the offline model, and waits for each by its event stream. */
export class Executions {
  readonly #base: string
  readonly #headers: Record<string, string>

  constructor({ url, apiKey }: BenchServer) {
    this.#base = `${url}/api/v2`
    this.#headers = { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' }
  }

  /** @returns executions per second, `atOnce` at any moment */
  async measure(total: number, atOnce: number): Promise<number> {
    let left = total
    const worker = async () => {
      while (left > 0) {
        left -= 1
        await this.#run()
      }
    }
    const startedAt = performance.now()
    await Promise.all(Array.from({ length: atOnce }, worker))
    return total / ((performance.now() - startedAt) / 1000)
  }

  async #run(): Promise<void> {
    const body = JSON.stringify({ definition: CHAIN })
    const url = `${this.#base}/dags/execute-definition`
    const answer = await fetch(url, { method: 'POST', headers: this.#headers, body })
    if (answer.status !== 202) throw new Error(`execute-definition answered ${answer.status}: ${await answer.text()}`)
    const { id } = (await answer.json()) as { id: string }
    const stream = await fetch(`${this.#base}/executions/${id}/events`, { headers: this.#headers })
    let last = 'nothing'
    for await (const { event, data } of readEvents(stream)) last = `${event} ${data.status ?? data.data?.status}`
    if (last !== 'execution:completed completed') throw new Error(`an execution ended with ${last}`)
  }
}
