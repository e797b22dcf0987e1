import { addMilliseconds } from '#kit/time.ts'
import type { DagParams } from '../dag.ts'
import type { Execution } from '../execution.ts'
import { Budget, limitReached, NOTHING_CHARGED } from '../limits/budget.ts'
import { leaveUnder } from '../limits/leave.ts'
import { LONGEST_TIMER_MS } from '../limits.ts'
import type { AskLeave } from '../models/call.ts'
import type { DesiAgentParts } from '../parts.ts'
import { keepRanMs, keepReserved, settleUnclaimed } from '../store/budgets.ts'
import type { Claimed } from '../store/claim-execution.ts'
import { renewLease } from '../store/leases.ts'
import type { SubStep } from '../store/sub-steps.ts'
import type { Failure } from './failure.ts'
import { finish, suspend } from './finish.ts'
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
  /** Lets its calls in, by its limits and by whoever bills. */
  readonly askLeave: AskLeave
  /** Aborts the calls in flight: on cancel, on shutdown, when its time is up, and when the lease is lost. */
  readonly stop: AbortSignal
  readonly #abort: () => void
  readonly #onProgress: () => void
  readonly #byTask: ReadonlyMap<string, SubStep>
  readonly #inFlight = new Set<Promise<void>>()
  #stepsBegun: number
  #cure: Failure | null = null
  #unexpected: unknown = null
  #isTimeUp = false
  #isPlaceWanted = false
  #hasYielded = false

  /** @param onProgress  told when a sub-step has ended: it is no execution that kills whoever runs it */
  constructor(
    parts: DesiAgentParts,
    claimed: Claimed,
    steps: readonly SubStep[],
    stop: AbortController,
    onProgress: () => void,
  ) {
    this.#onProgress = onProgress
    this.parts = parts
    this.execution = claimed.execution
    this.synthesisPlan = claimed.synthesisPlan
    this.params = claimed.params
    this.steps = steps
    this.stop = stop.signal
    this.#abort = () => stop.abort()
    this.journal = new Journal(parts, claimed)
    this.waves = new ProgressOfWaves(steps)
    this.askLeave = askLeaveOf(parts, claimed)
    this.#stepsBegun = claimed.stepsBegun
    this.#byTask = new Map(steps.map((step) => [step.taskId, step]))
  }

  /** Runs until the execution has ended, rests, gives its place to another, or is no longer ours. @throws what nobody expected */
  async drive(): Promise<void> {
    const renewal = setInterval(() => this.#renew(), renewalOf(this.parts.shared.settings.leaseMs))
    const deadline = this.#setDeadline()
    try {
      while (!(await this.#runToRest())); // again only when somebody took back the wish for a pause
    } catch (error) {
      if (!(error instanceof LeaseLost)) throw error
    } finally {
      clearInterval(renewal)
      if (deadline !== undefined) clearTimeout(deadline)
    }
  }

  /** True when it has given its place to another tenant's execution. */
  get hasYielded(): boolean {
    return this.#hasYielded
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

  /** @returns false when it is to go on after all */
  async #runToRest(): Promise<boolean> {
    await this.#runSteps()
    if (this.#unexpected !== null) throw this.#unexpected
    if (this.stop.aborted) {
      if (this.#isTimeUp) await this.#suspendForTime()
      return true
    }
    const hasWork = this.steps.some(({ status }) => status === 'pending')
    if (this.#cure === null && this.journal.isPauseWanted) return this.journal.commitPause()
    if (this.#cure === null && this.#isPlaceWanted) return this.#giveUpPlace()
    if (hasWork && this.parts.shared.running.isDraining) return true // the next incarnation runs them
    await finish(this, this.#cure)
    if (this.#isTimeUp) await this.#suspendForTime()
    return true
  }

  async #runSteps(): Promise<void> {
    this.#startReady()
    while (this.#inFlight.size > 0) {
      await Promise.race(this.#inFlight)
      this.#onProgress()
      this.#isPlaceWanted ||= this.parts.shared.turns.isPlaceWanted(this.parts.tenantId)
      this.#startReady()
    }
  }

  #startReady(): void {
    for (const step of this.steps) {
      if (this.#inFlight.size >= this.parts.shared.settings.maxParallelSubSteps || this.#mayNotStart()) return
      if (step.status !== 'pending' || !this.#isReady(step)) continue
      if (step.startedAt === null && !this.#countStep()) return
      this.#start(step)
    }
  }

  #mayNotStart(): boolean {
    const isStopping = this.stop.aborted || this.parts.shared.running.isDraining || this.#unexpected !== null
    return isStopping || this.#cure !== null || this.journal.isPauseWanted || this.#isPlaceWanted
  }

  /** False when the limit leaves no room for it: a person has to raise it. */
  #countStep(): boolean {
    const { maxSteps = Number.POSITIVE_INFINITY } = this.execution.limits ?? {}
    if (this.#stepsBegun >= maxSteps) {
      const { code, message } = limitReached('maxSteps', maxSteps, this.#stepsBegun, 'there are more to begin')
      this.#cure = { kind: 'curable', code, message }
      return false
    }
    this.#stepsBegun += 1
    return true
  }

  #isReady(step: SubStep): boolean {
    return step.dependencies.every((taskId) => this.#byTask.get(taskId)?.status === 'completed')
  }

  #start(step: SubStep): void {
    step.status = 'running'
    const running = runStep(this, step)
      .then((cure) => {
        this.#cure ??= cure
        // Together, and not sooner: else a step beside it that ends would let it begin again.
        if (step.status === 'running') step.status = 'pending'
      })
      .catch((error: unknown) => {
        this.#abort()
        if (!(error instanceof LeaseLost)) this.#unexpected ??= error
      })
      .finally(() => this.#inFlight.delete(running))
    this.#inFlight.add(running)
  }

  /** It waits for its next turn behind no other of its tenant. `run-execution.ts` puts it back into the queue. */
  async #giveUpPlace(): Promise<boolean> {
    await this.journal.commit({ execution: { status: 'pending', isLeaseReleased: true }, events: [] })
    this.#hasYielded = true
    return true
  }

  #setDeadline(): ReturnType<typeof setTimeout> | undefined {
    const { maxWallMs } = this.execution.limits ?? {}
    if (maxWallMs === undefined) return undefined
    const leftMs = Math.max(0, maxWallMs - this.journal.ranMs)
    if (leftMs > LONGEST_TIMER_MS) return undefined // it is looked at again in its next turn
    if (leftMs > 0) return setTimeout(() => this.#endTime(), leftMs)
    this.#endTime()
    return undefined
  }

  #endTime(): void {
    this.#isTimeUp = true
    this.#abort()
  }

  async #suspendForTime(): Promise<void> {
    const { maxWallMs = 0 } = this.execution.limits ?? {}
    await suspend(this, limitReached('maxWallMs', maxWallMs, Math.round(this.journal.ranMs), 'the rest takes time'))
  }

  #renew(): void {
    const { db, directory, shared } = this.parts
    const { id } = this.execution
    const until = addMilliseconds(shared.now(), shared.settings.leaseMs).toISOString()
    const renewing = async () => {
      if (!(await renewLease(db, 'executions', id, shared.running.owner, until))) return this.#abort()
      await keepRanMs(db, id, shared.running.owner, this.journal.ranMs)
      await directory.putDueWork('execution', id, until)
    }
    renewing().catch((err: unknown) => shared.log.warn({ err, executionId: id }, 'could not renew a lease'))
  }
}

/** How often a lease is renewed: twice it may fail before the lease has run out. */
export function renewalOf(leaseMs: number): number {
  return Math.round(leaseMs / 3)
}

function askLeaveOf({ db, shared }: DesiAgentParts, { execution, charged }: Claimed): AskLeave {
  const { owner } = shared.running
  const { id, limits } = execution
  return leaveUnder(db, shared.metering, new Budget(limits, charged), {
    async keep(bound) {
      if (!(await keepReserved(db, id, owner, bound))) throw new LeaseLost()
    },
    async forget(bound) {
      const { tokens, costUsdMicros } = bound
      const isOurs = await keepReserved(db, id, owner, { tokens: -tokens, costUsdMicros: -costUsdMicros })
      if (!isOurs) await settleUnclaimed(db, id, { charged: NOTHING_CHARGED, released: bound })
    },
  })
}
