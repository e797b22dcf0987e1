import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { NewEvent } from '../events.ts'
import { EXECUTION_STATUSES, type Execution } from '../execution.ts'
import { recordUsed, type UsedFor } from '../metering.ts'
import type { DesiAgentParts } from '../parts.ts'
import { type NewArtifact, putArtifact } from '../store/artifacts.ts'
import { insertEvents } from '../store/events.ts'
import { changeExecution, type ExecutionChange, type Fence } from '../store/executions.ts'
import type { LedgerEntry } from '../store/model-calls.ts'
import { type StepChange, skipSubSteps, updateSubStep } from '../store/sub-steps.ts'
import { usageOf } from '../store/usage-columns.ts'

/** One step of an execution's history: everything in it is committed together, or nothing. */
export interface JournalEntry {
  execution?: ExecutionChange
  step?: { id: string; change: StepChange }
  skipped?: { stepIds: readonly string[]; reason: string }
  events: readonly NewEvent[]
  calls?: readonly LedgerEntry[]
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

  constructor(parts: DesiAgentParts, { id, dagId, createdBy }: Execution) {
    this.#parts = parts
    this.#executionId = id
    this.#usedFor = { dagId, executionId: id, subStepId: null, userId: createdBy }
    this.#fence = { owner: parts.shared.running.owner, statuses: ['running'] }
  }

  /** @throws LeaseLost when somebody else has the execution; calls that were paid for are in the ledger even then */
  async commit(entry: JournalEntry): Promise<void> {
    const { db, shared } = this.#parts
    const isOurs = await transaction(db, (tx) => this.#write(tx, entry))
    if (!isOurs) {
      await this.#keepUsed(entry)
      throw new LeaseLost()
    }
    if (entry.execution?.status) shared.metrics.execution(entry.execution.status)
    shared.wake.notify(this.#executionId)
  }

  async #write(tx: TenantDb, entry: JournalEntry): Promise<boolean> {
    const now = this.#parts.shared.now().toISOString()
    const { execution = {}, step, skipped, events, calls = [], artifacts = [] } = entry
    const usage = usageOf(calls)
    const lastSeq = await changeExecution(tx, this.#executionId, this.#fence, execution, usage, events.length, now)
    if (lastSeq === null) return false
    if (step) await updateSubStep(tx, step.id, step.change, usage, now)
    if (skipped) await skipSubSteps(tx, skipped.stepIds, skipped.reason, now)
    await insertEvents(tx, this.#executionId, lastSeq, events, now)
    for (const artifact of artifacts) await putArtifact(tx, artifact)
    await this.#record(tx, entry, now)
    return true
  }

  /** A call that came back too late was paid for all the same: the ledger and the totals must say so. */
  async #keepUsed(entry: JournalEntry): Promise<void> {
    const { calls = [], computeMs = 0 } = entry
    if (calls.length === 0 && computeMs === 0) return
    const { db, shared } = this.#parts
    const now = shared.now().toISOString()
    await transaction(db, async (tx) => {
      const usage = usageOf(calls)
      await changeExecution(tx, this.#executionId, { statuses: EXECUTION_STATUSES }, {}, usage, 0, now)
      for (const { subStepId } of calls.slice(0, 1)) if (subStepId) await updateSubStep(tx, subStepId, {}, usage, now)
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
