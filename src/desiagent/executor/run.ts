import { addMilliseconds } from '#kit/time.ts'
import type { DagParams } from '../dag.ts'
import type { Execution } from '../execution.ts'
import type { DesiAgentParts } from '../parts.ts'
import type { Claimed } from '../store/claim-execution.ts'
import { renewLease } from '../store/leases.ts'
import type { SubStep } from '../store/sub-steps.ts'
import type { Failure } from './failure.ts'
import { finish } from './finish.ts'
import { Journal, LeaseLost } from './journal.ts'
import { ProgressOfWaves } from './progress-of-waves.ts'
import { runStep } from './run-step.ts'

/**
 * One execution while this process holds its lease. A sub-step starts the moment its own dependencies have completed,
 * at most `maxParallelSubSteps` at once; there is no barrier between depths of the graph.
 */
export class Run {
  readonly parts: DesiAgentParts
  readonly execution: Execution
  readonly synthesisPlan: string
  readonly params: DagParams
  readonly steps: readonly SubStep[]
  readonly journal: Journal
  readonly waves: ProgressOfWaves
  /** Aborts the calls in flight: on cancel, on shutdown, and when the lease is lost. */
  readonly stop: AbortSignal
  readonly #abort: () => void
  readonly #byTask: ReadonlyMap<string, SubStep>
  readonly #inFlight = new Set<Promise<void>>()
  #cure: Failure | null = null
  #unexpected: unknown = null

  constructor(parts: DesiAgentParts, claimed: Claimed, steps: readonly SubStep[], stop: AbortController) {
    this.parts = parts
    this.execution = claimed.execution
    this.synthesisPlan = claimed.synthesisPlan
    this.params = claimed.params
    this.steps = steps
    this.stop = stop.signal
    this.#abort = () => stop.abort()
    this.journal = new Journal(parts, claimed.execution)
    this.waves = new ProgressOfWaves(steps)
    this.#byTask = new Map(steps.map((step) => [step.taskId, step]))
    // A step that was running when its process died is run again.
    for (const step of steps) if (step.status === 'running') step.status = 'pending'
  }

  /** Runs until the execution has ended, rests, or is no longer ours. @throws what nobody expected */
  async drive(): Promise<void> {
    const renewal = setInterval(() => this.#renew(), this.parts.shared.settings.leaseMs / 3)
    try {
      await this.#runSteps()
      if (this.#unexpected !== null) throw this.#unexpected
      if (!this.stop.aborted && !this.#isCutShort()) await finish(this, this.#cure)
    } catch (error) {
      if (!(error instanceof LeaseLost)) throw error
    } finally {
      clearInterval(renewal)
    }
  }

  resultsFor(step: SubStep): { taskId: string; description: string; result: unknown }[] {
    return step.dependencies.map((taskId) => {
      const { description = '', result = null } = this.#byTask.get(taskId) ?? {}
      return { taskId, description, result }
    })
  }

  /** Marks everything that waits, directly or not, for this step. */
  skipDependantsOf(failed: SubStep, reason: string): SubStep[] {
    const skipped: SubStep[] = []
    const unreachable = new Set([failed.taskId])
    // Several passes, because a plan need not list its tasks in order.
    for (let before = -1; before !== skipped.length; ) {
      before = skipped.length
      for (const step of this.steps) {
        if (step.status !== 'pending' || !step.dependencies.some((taskId) => unreachable.has(taskId))) continue
        step.status = 'skipped'
        step.error = { message: reason, code: 'dependency_failed' }
        unreachable.add(step.taskId)
        skipped.push(step)
      }
    }
    return skipped
  }

  async #runSteps(): Promise<void> {
    this.#startReady()
    while (this.#inFlight.size > 0) {
      await Promise.race(this.#inFlight)
      this.#startReady()
    }
  }

  #startReady(): void {
    const room = () => this.#inFlight.size < this.parts.shared.settings.maxParallelSubSteps
    for (const step of this.steps) {
      if (!room() || this.stop.aborted || this.parts.shared.running.isDraining || this.#cure || this.#unexpected) return
      if (step.status === 'pending' && this.#isReady(step)) this.#start(step)
    }
  }

  /** The process is going down and there are steps left: the next incarnation runs them. */
  #isCutShort(): boolean {
    return this.parts.shared.running.isDraining && this.steps.some(({ status }) => status === 'pending')
  }

  #isReady(step: SubStep): boolean {
    return step.dependencies.every((taskId) => this.#byTask.get(taskId)?.status === 'completed')
  }

  #start(step: SubStep): void {
    step.status = 'running'
    const running = runStep(this, step)
      .then((cure) => {
        this.#cure ??= cure
      })
      .catch((error: unknown) => {
        this.#abort()
        if (!(error instanceof LeaseLost)) this.#unexpected ??= error
      })
      .finally(() => this.#inFlight.delete(running))
    this.#inFlight.add(running)
  }

  #renew(): void {
    const { db, shared } = this.parts
    const until = addMilliseconds(shared.now(), shared.settings.leaseMs).toISOString()
    renewLease(db, 'executions', this.execution.id, shared.running.owner, until).then(
      (isOurs) => {
        if (!isOurs) this.#abort()
      },
      (error: unknown) => shared.log.warn({ err: error, executionId: this.execution.id }, 'could not renew a lease'),
    )
  }
}
