import { expect } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { type ModelCall, openAiServer, type Reply } from '#test/support/openai-server.ts'
import { planOf } from '#test/support/plans.ts'
import { type StartOptions, startApi, type TestApi } from '#test/support/start-api.ts'

export const GOAL = 'Write about the sea'
export const GOOD = JSON.stringify(planOf([{ id: '001' }], { title: 'Good' }))

/** An API whose planner answers as `script` says. */
export async function withPlanner(
  script: (call: ModelCall) => Reply | Promise<Reply>,
  overrides: StartOptions['overrides'] = {},
) {
  const model = await openAiServer(script)
  const api = await startApi({ env: model.env, overrides })
  return { model, api, acme: await api.tenant('acme') }
}

export const started = async (client: Client, more: object = {}, headers: Record<string, string> = {}) =>
  client.post('/dags/experiments', { goalText: GOAL, models: ['gpt-4o-mini'], temperatures: [0], ...more }, headers)

/** So many temperatures, and so many trials with one model; ten at most. */
export const temperatures = (count: number) => Array.from({ length: count }, (_, index) => index / 10)

/** Asks again and again until the experiment is as wanted. */
export async function until(client: Client, id: string, isWanted: (body: Experiment) => boolean): Promise<Experiment> {
  for (;;) {
    const { status, body } = await client.get<Experiment>(`/dags/experiments/${id}`)
    expect(status).toBe(200)
    if (isWanted(body)) return body
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
export const completed = (client: Client, id: string) => until(client, id, ({ status }) => status === 'completed')

export interface Experiment {
  id: string
  status: string
  totalTrials: number
  endedTrials: number
  completedAt: string | null
  trials: {
    rank: number | null
    model: string
    temperature: number
    status: string
    dagId: string | null
    error: { code: string } | null
    taskCount: number | null
    usage: { totalTokens: number }
    costUsdMicros: number | null
    durationMs: number | null
  }[]
}

export const due = (api: TestApi) =>
  api.api.stores.control.selectFrom('due_work').select('subject_id').where('kind', '=', 'experiment').execute()
