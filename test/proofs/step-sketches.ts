import { planOf } from '#test/support/plans.ts'
import type { Chance } from './chance.ts'

export interface StepSketch {
  id: string
  dependencies: string[]
  /** How long the model takes to answer. */
  delayMs: number
}

/** A random DAG: each step waits for up to three of those before it. */
export function randomSteps(chance: Chance, count: number, minMs: number, maxMs: number): StepSketch[] {
  const steps: StepSketch[] = []
  for (let index = 0; index < count; index += 1) {
    const before = steps.map(({ id }) => id)
    const dependencies = chance.some(before, chance.whole(0, 3)).toSorted()
    steps.push({ id: `t${index}`, dependencies, delayMs: chance.whole(minMs, maxMs) })
  }
  return steps
}

/** Each step needs the one before. */
export function chainOfSteps(count: number, delayMs: number): StepSketch[] {
  return Array.from({ length: count }, (_, index) => ({
    id: `t${index}`,
    dependencies: index === 0 ? [] : [`t${index - 1}`],
    delayMs,
  }))
}

/** @param name  of the piece of work; its goal begins with it, and every prompt says it */
export function planOfSteps(name: string, steps: readonly StepSketch[]) {
  const tasks = steps.map(({ id, dependencies, delayMs }) => ({
    id,
    dependencies,
    prompt: promptOf(name, id, delayMs),
  }))
  return planOf(tasks, { original_request: `${name}: a proof`, title: name })
}

function promptOf(name: string, id: string, delayMs: number): string {
  return `Work ${name}, step ${id}, takes ${delayMs} ms.`
}

/** What a prompt of `planOfSteps` says; null for any other text. */
export function readPrompt(text: string): { name: string; id: string; delayMs: number } | null {
  const [, name, id, delayMs] = /^Work (\S+), step (\S+), takes (\d+) ms\.$/.exec(text) ?? []
  return name && id ? { name, id, delayMs: Number(delayMs) } : null
}

/** The least time the steps can take together, however many run at once. @param msOf  how long a step takes */
export function criticalPathMs(
  steps: readonly StepSketch[],
  msOf: (step: StepSketch) => number = ({ delayMs }) => delayMs,
): number {
  const ends = new Map<string, number>()
  for (const step of steps) {
    const readyAt = Math.max(0, ...step.dependencies.map((id) => ends.get(id) ?? 0))
    ends.set(step.id, readyAt + msOf(step))
  }
  return Math.max(0, ...ends.values())
}
