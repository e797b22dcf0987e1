import type { NewEvent } from '../events.ts'
import type { SubStep } from '../store/sub-steps.ts'

const ENDED: ReadonlySet<SubStep['status']> = new Set(['completed', 'failed', 'skipped', 'cancelled', 'deleted'])

/**
 * Tells when a depth of the graph begins and ends. For progress displays only: it holds nothing back, a step starts
 * when its own dependencies are done.
 */
export class ProgressOfWaves {
  readonly #steps: readonly SubStep[]
  readonly #begun = new Map<number, number>()
  readonly #ended = new Set<number>()

  /** @param steps  the execution's steps, whose status the runner keeps up to date */
  constructor(steps: readonly SubStep[]) {
    this.#steps = steps
    for (const { wave, startedAt } of steps) {
      if (startedAt !== null) this.#begun.set(wave, Math.min(this.#begun.get(wave) ?? Infinity, Date.parse(startedAt)))
    }
    for (const wave of this.#begun.keys()) if (this.#isOver(wave)) this.#ended.add(wave)
  }

  /** To be told with the start of a step of this wave. */
  begin(wave: number, nowMs: number): NewEvent[] {
    if (this.#begun.has(wave)) return []
    this.#begun.set(wave, nowMs)
    const taskIds = this.#of(wave).map(({ taskId }) => taskId)
    return [{ type: 'execution:wave_started', data: { wave, taskIds, parallel: taskIds.length > 1 } }]
  }

  /** To be told with the end of a step. */
  end(nowMs: number): NewEvent[] {
    const over = [...this.#begun.keys()].filter((wave) => !this.#ended.has(wave) && this.#isOver(wave))
    return over.map((wave) => {
      this.#ended.add(wave)
      const steps = this.#of(wave)
      const completedTasks = steps.filter(({ status }) => status === 'completed').length
      const durationMs = nowMs - (this.#begun.get(wave) ?? nowMs)
      return { type: 'execution:wave_completed', data: { wave, completedTasks, totalTasks: steps.length, durationMs } }
    })
  }

  #of(wave: number): SubStep[] {
    return this.#steps.filter((step) => step.wave === wave)
  }

  #isOver(wave: number): boolean {
    return this.#of(wave).every(({ status }) => ENDED.has(status))
  }
}
