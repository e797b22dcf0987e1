import { eachAtOnce } from './at-once.ts'
import type { Caller } from './caller.ts'
import { Chance } from './chance.ts'
import type { LoggedEvent } from './event-log.ts'
import { meanOf, spreadOf } from './figures.ts'
import { Follower } from './follower.ts'
import type { Proof } from './proof.ts'
import { ProofServer } from './proof-server.ts'
import { type HeldCall, scriptedModel } from './scripted-model.ts'
import { criticalPathMs, planOfSteps, randomSteps, type StepSketch } from './step-sketches.ts'

const STEPS = 20
/** Two cores are little for a server, a model and a client: more would measure how they share them. */
const AT_ONCE = 1
export const MOST_OVER_CRITICAL_PATH = 0.05

export interface Span {
  name: string
  makespanMs: number
  /** Of the times that the model was told to take: the least that is possible. */
  scriptedPathMs: number
  /** Of the times it took: its timers are late as well. */
  heldPathMs: number
}

/** From the first task's beginning to the last one's end an execution takes hardly longer than its critical path. */
export const proveMakespan: Proof = async ({ n, seed, durable, say }) => {
  const spans = await measureSpans(n, seed, durable)
  const over = spans.map(({ makespanMs, scriptedPathMs }) => (makespanMs / scriptedPathMs - 1) * 100)
  const overHeld = spans.map(({ makespanMs, heldPathMs }) => (makespanMs / heldPathMs - 1) * 100)
  say(`${STEPS} steps of 50 to 400 ms each, ${AT_ONCE} executions at once, MAX_PARALLEL_SUB_STEPS ${STEPS}`)
  say(`critical path of the scripted step times, ms: ${spreadOf(spans.map(({ scriptedPathMs }) => scriptedPathMs))}`)
  say(`makespan over it, %: mean ${meanOf(over).toFixed(2)}, ${spreadOf(over, 2)}`)
  say(
    `makespan over the path of the times as the model kept them, %: mean ${meanOf(overHeld).toFixed(2)}, ${spreadOf(overHeld, 2)}`,
  )
  return faultsInSpans(spans, MOST_OVER_CRITICAL_PATH)
}

/** What cannot be read is a fault as well. @param mostOver  share of the critical path */
export function faultsInSpans(spans: readonly Span[], mostOver: number): string[] {
  const isKept = ({ makespanMs, scriptedPathMs }: Span) =>
    makespanMs <= scriptedPathMs * (1 + mostOver) && makespanMs >= scriptedPathMs - STEPS // timers go off up to a millisecond early
  return spans
    .filter((span) => !isKept(span))
    .map(
      ({ name, makespanMs, scriptedPathMs }) => `${name} took ${makespanMs} ms, its critical path ${scriptedPathMs} ms`,
    )
}

export async function measureSpans(n: number, seed: number, durable: 'NORMAL' | 'FULL'): Promise<Span[]> {
  const chance = new Chance(seed)
  const sketches = Array.from({ length: n }, () => randomSteps(chance, STEPS, 50, 400))
  const model = await scriptedModel()
  const env = { ...model.env, SQLITE_SYNCHRONOUS: durable, MAX_PARALLEL_SUB_STEPS: String(STEPS) }
  const server = await ProofServer.open(env)
  const spans: Span[] = []
  try {
    const acme = server.acme()
    for (let warmUp = 0; warmUp < 3; warmUp += 1)
      await logOfRun(acme, `warm-${warmUp}`, randomSteps(chance, STEPS, 1, 5))
    await eachAtOnce(sketches, AT_ONCE, async (steps, index) => {
      const name = `work-${index}`
      spans.push(spanOf(name, steps, await logOfRun(acme, name, steps), model.held))
    })
    return spans
  } finally {
    await server.close()
    model.close()
  }
}

async function logOfRun(caller: Caller, name: string, steps: readonly StepSketch[]): Promise<LoggedEvent[]> {
  const { id } = await caller.begun('/dags/execute-definition', { definition: planOfSteps(name, steps), title: name })
  const follower = new Follower({ caller, executionId: id })
  await follower.follow()
  const log = follower.events.map(({ data }): LoggedEvent => JSON.parse(data))
  const last = log.at(-1)
  if (last?.type !== 'execution:completed' || last.data.status !== 'completed')
    throw new Error(`${name}: ${last?.type}`)
  return log
}

function spanOf(
  name: string,
  steps: readonly StepSketch[],
  log: readonly LoggedEvent[],
  held: readonly HeldCall[],
): Span {
  const own = new Map(held.filter((call) => call.name === name).map(({ id, heldMs }) => [id, heldMs]))
  const startedAt = log.find(({ type }) => type === 'execution:task_started')?.ts ?? ''
  const completedAt = log.findLast(({ type }) => type === 'execution:task_completed')?.ts ?? ''
  return {
    name,
    makespanMs: Date.parse(completedAt) - Date.parse(startedAt),
    scriptedPathMs: criticalPathMs(steps),
    heldPathMs: criticalPathMs(steps, ({ id }) => own.get(id) ?? Number.NaN),
  }
}
