import { expect } from 'vitest'
import type { Client } from '#test/support/client.ts'
import { planOf, type TaskSketch } from '#test/support/plans.ts'

/** `{ b: ['a'] }` is task b, which waits for a. Each task's prompt is its name. */
export type Graph = Record<string, readonly string[]>

export function tasksOf(graph: Graph): TaskSketch[] {
  return Object.entries(graph).map(([id, after]) => ({ id, prompt: id, dependencies: [...after] }))
}

/** Begins to execute a plan of these tasks. @returns the execution's id */
export async function begin(client: Client, graph: Graph, more: object = {}): Promise<string> {
  const answer = await client.post('/dags/execute-definition', { definition: planOf(tasksOf(graph)), ...more })
  expect(answer.status, JSON.stringify(answer.body)).toBe(202)
  return answer.body.id
}

/** The execution with its sub-steps, once it has this status. */
export async function untilStatus(client: Client, id: string, status: string) {
  await expect.poll(async () => (await client.get(`/executions/${id}`)).body.status, { timeout: 10_000 }).toBe(status)
  return (await client.get(`/executions/${id}/details`)).body
}

/** `{ a: 'completed', … }` */
export function statusesOf({ subSteps }: { subSteps: { taskId: string; status: string }[] }): Record<string, string> {
  return Object.fromEntries(subSteps.map(({ taskId, status }) => [taskId, status]))
}

/** What its log says so far, without `execution:`. Its numbers are dense. */
export async function typesOf(client: Client, id: string): Promise<string[]> {
  const { body } = await client.get(`/executions/${id}/events?limit=100`, { accept: 'application/json' })
  const events: { seq: number; type: string }[] = body.data
  expect(events.map(({ seq }) => seq)).toEqual(events.map((_, index) => index + 1))
  return events.map(({ type }) => type.replace('execution:', ''))
}
