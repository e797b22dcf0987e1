import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { NewEvent } from '../events.ts'
import { EXECUTION_STATUSES } from '../execution.ts'
import { recordUsed, type UsedFor } from '../metering.ts'
import type { DesiAgentParts } from '../parts.ts'
import { type NewArtifact, putArtifact } from '../store/artifacts.ts'
import { settleUnclaimed } from '../store/budgets.ts'
import type { Claimed } from '../store/claim-execution.ts'
import { insertEvents } from '../store/events.ts'
import {
  type Changed,
  changeExecution,
  type ExecutionChange,
  type Fence,
  type Settlement,
} from '../store/executions.ts'
import type { LedgerEntry } from '../store/model-calls.ts'
import { type StepChange, skipSubSteps, updateSubStep } from '../store/sub-steps.ts'
import { insertToolCalls, type ToolCall } from '../store/tool-calls.ts'
import { usageOf } from '../store/usage-columns.ts'

/** One step of an execution's history: everything in it is committed together, or nothing. */
export interface JournalEntry {
  execution?: ExecutionChange
  step?: { id: string; change: StepChange }
  skipped?: { stepIds: readonly string[]; reason: string }
  events: readonly NewEvent[]
  calls?: readonly LedgerEntry[]
  toolCalls?: readonly ToolCall[]
  artifacts?: readonly NewArtifact[]
  /** How long the work took. */
  computeMs?: number
}

/** The execution is no longer ours: cancelled, or taken over by another process. */
export class LeaseLost extends Error {
  constructor() {
    super('the execution is no longer run by this process')
    this.name = 'LeaseLost'
  }
}

/** Commits what happens to one execution: state, events, ledger and artifacts in one transaction, fenced by the lease. */
export class Journal {
  readonly #parts: DesiAgentParts
  readonly #executionId: string
  readonly #usedFor: UsedFor
  readonly #fence: Fence
  readonly #ranBeforeMs: number
  readonly #sinceMs: number
  #isPauseWanted: boolean

  constructor(parts: DesiAgentParts, { execution, ranMs }: Claimed) {
    const { id, dagId, createdBy, pauseRequestedAt } = execution
    this.#parts = parts
    this.#executionId = id
    this.#usedFor = { dagId, executionId: id, subStepId: null, userId: createdBy }
    this.#fence = { owner: parts.shared.running.owner, statuses: ['running'] }
    this.#ranBeforeMs = ranMs
    this.#sinceMs = parts.shared.now().getTime()
    this.#isPauseWanted = pauseRequestedAt !== null
  }

  /** As the last commit found it: somebody may have asked in another process. */
  get isPauseWanted(): boolean {
    return this.#isPauseWanted
  }

  /** How long the execution has run, in all its turns. */
  get ranMs(): number {
    return this.#ranBeforeMs + this.#parts.shared.now().getTime() - this.#sinceMs
  }

  /** @throws LeaseLost when somebody else has the execution; calls that were paid for are in the ledger even then */
  async commit(entry: JournalEntry): Promise<void> {
    const changed = await this.#change(entry, this.#fence)
    if (changed) return
    await this.#keepUsed(entry)
    throw new LeaseLost()
  }

  /** Rests as somebody asked. @returns false when they have changed their mind */
  async commitPause(): Promise<boolean> {
    const execution: ExecutionChange = { status: 'paused', isLeaseReleased: true, isPauseTakenBack: true }
    const events: NewEvent[] = [{ type: 'execution:paused', data: {} }]
    const changed = await this.#change({ execution, events }, { ...this.#fence, isPausing: true })
    if (!changed) this.#isPauseWanted = false
    return changed !== null
  }

  async #change(entry: JournalEntry, fence: Fence): Promise<Changed | null> {
    const { db, shared } = this.#parts
    const changed = await transaction(db, (tx) => this.#write(tx, entry, fence))
    if (!changed) return null
    this.#isPauseWanted = changed.isPauseWanted
    if (entry.execution?.status) shared.metrics.execution(entry.execution.status)
    if (entry.events.length > 0) shared.wake.notify(this.#executionId)
    return changed
  }

  async #write(tx: TenantDb, entry: JournalEntry, fence: Fence): Promise<Changed | null> {
    const now = this.#parts.shared.now().toISOString()
    const { execution = {}, step, skipped, events, calls = [], toolCalls = [], artifacts = [] } = entry
    const usage = usageOf(calls)
    const change: ExecutionChange = { ...execution, ranMs: this.ranMs, ...settled(calls) }
    const changed = await changeExecution(tx, this.#executionId, fence, change, usage, events.length, now)
    if (!changed) return null
    if (step) await updateSubStep(tx, step.id, step.change, usage, now)
    if (skipped) await skipSubSteps(tx, skipped.stepIds, skipped.reason, now)
    await insertEvents(tx, this.#executionId, changed.lastSeq, events, now)
    await insertToolCalls(tx, toolCalls)
    for (const artifact of artifacts) await putArtifact(tx, artifact)
    await this.#record(tx, entry, now)
    return changed
  }

  /** A call that came back too late was paid for all the same: the ledger and the totals must say so. */
  async #keepUsed(entry: JournalEntry): Promise<void> {
    const { calls = [], computeMs = 0 } = entry
    if (calls.length === 0 && computeMs === 0) return
    const { db, shared } = this.#parts
    const now = shared.now().toISOString()
    await transaction(db, async (tx) => {
      const usage = usageOf(calls)
      const left = await changeExecution(tx, this.#executionId, { statuses: EXECUTION_STATUSES }, {}, usage, 0, now)
      const { settled: settlement } = settled(calls)
      if (settlement) await settleUnclaimed(tx, this.#executionId, settlement)
      for (const { subStepId } of calls.slice(0, 1)) if (subStepId) await updateSubStep(tx, subStepId, {}, usage, now)
      if (left) await insertToolCalls(tx, entry.toolCalls ?? []) // a deleted execution takes them along
      await this.#record(tx, { ...entry, artifacts: [] }, now)
    })
  }

  async #record(
    tx: TenantDb,
    { step, calls = [], artifacts = [], computeMs = 0 }: JournalEntry,
    at: string,
  ): Promise<void> {
    const storageBytes = artifacts.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
    const usedFor = { ...this.#usedFor, subStepId: step?.id ?? null }
    await recordUsed(this.#parts.shared.metering, tx, { calls, computeMs, storageBytes, for: usedFor }, at)
  }
}

/** What calls had set aside of the limits, and what they used. */
function settled(calls: readonly LedgerEntry[]): { settled?: Settlement } {
  const settlements = calls.flatMap(({ settlement }) => settlement ?? [])
  if (settlements.length === 0) return {}
  const total = (of: 'charged' | 'released') => ({
    tokens: settlements.reduce((sum, settlement) => sum + settlement[of].tokens, 0),
    costUsdMicros: settlements.reduce((sum, settlement) => sum + settlement[of].costUsdMicros, 0),
  })
  return { settled: { charged: total('charged'), released: total('released') } }
}
