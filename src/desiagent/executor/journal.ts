import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { NewEvent } from '../events.ts'
import { EXECUTION_STATUSES } from '../execution.ts'
import type { DesiAgentParts } from '../parts.ts'
import { type NewArtifact, putArtifact } from '../store/artifacts.ts'
import { insertEvents } from '../store/events.ts'
import { changeExecution, type ExecutionChange, type Fence } from '../store/executions.ts'
import { insertModelCalls, type LedgerEntry } from '../store/model-calls.ts'
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
  readonly #fence: Fence

  constructor(parts: DesiAgentParts, executionId: string) {
    this.#parts = parts
    this.#executionId = executionId
    this.#fence = { owner: parts.shared.running.owner, statuses: ['running'] }
  }

  /** @throws LeaseLost when somebody else has the execution; calls that were paid for are in the ledger even then */
  async commit(entry: JournalEntry): Promise<void> {
    const { db, shared } = this.#parts
    const isOurs = await transaction(db, (tx) => this.#write(tx, entry))
    if (!isOurs) {
      await this.#keepCalls(entry.calls ?? [])
      throw new LeaseLost()
    }
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
    await insertModelCalls(tx, calls)
    for (const artifact of artifacts) await putArtifact(tx, artifact)
    return true
  }

  /** A call that came back too late was paid for all the same: the ledger and the totals must say so. */
  async #keepCalls(calls: readonly LedgerEntry[]): Promise<void> {
    if (calls.length === 0) return
    const { db, shared } = this.#parts
    const now = shared.now().toISOString()
    await transaction(db, async (tx) => {
      const usage = usageOf(calls)
      await changeExecution(tx, this.#executionId, { statuses: EXECUTION_STATUSES }, {}, usage, 0, now)
      for (const { subStepId } of calls.slice(0, 1)) if (subStepId) await updateSubStep(tx, subStepId, {}, usage, now)
      await insertModelCalls(tx, calls)
    })
  }
}
