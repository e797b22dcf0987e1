import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Admission, CallEstimate } from './models/call.ts'
import type { LedgerEntry } from './store/model-calls.ts'
import { insertModelCalls } from './store/model-calls.ts'

/** What was used for one piece of work. */
export interface Used {
  calls?: readonly LedgerEntry[]
  /** How long the work took, in milliseconds. */
  computeMs?: number
  /** Bytes written to storage. */
  storageBytes?: number
  /** Executions begun. */
  executions?: number
  for: UsedFor
}

/** Which work it was used for, and whose. */
export interface UsedFor {
  dagId: string | null
  executionId: string | null
  subStepId: string | null
  userId: string | null
}

/**
 * Who may use how much, and where it is written down. desiAgent knows no billing: whoever embeds it brings this. Each
 * `admit` runs where the thing is made, so that two callers cannot both take the last place.
 */
export interface Metering {
  /** In the transaction that makes an agent. @throws when there is no room */
  admitAgent(tx: TenantDb): Promise<void>
  /** In the transaction that begins an execution. @throws when there is no room */
  admitExecution(tx: TenantDb): Promise<void>
  /** In the transaction that lets a resting execution go on. @throws when there is no room */
  admitResume(tx: TenantDb): Promise<void>
  /** Before work that will call models, so that it is refused early; sets nothing aside. @throws when nothing is left */
  admitModelCall(db: TenantDb): Promise<void>
  /**
   * Before each call of a model, outside any transaction: sets aside what it may use. `record` gives it back with what
   * the call did use; if it never comes to that, because the process died, it is free again after the call's time.
   *
   * @throws when not enough is left for the prompt and an answer
   */
  reserveModelCall(db: TenantDb, estimate: CallEstimate): Promise<Admission>
  /** In the transaction of the state it was used for; ends the reservations of its calls. @param at  ISO 8601 */
  record(tx: TenantDb, used: Used, at: string): Promise<void>
}

/** For whoever embeds desiAgent without limits or bills. The ledger is written all the same. */
export const NO_METERING: Metering = {
  admitAgent: async () => {},
  admitExecution: async () => {},
  admitResume: async () => {},
  admitModelCall: async () => {},
  reserveModelCall: async (_db, { maxTokens }) => ({ reservationId: null, maxTokens }),
  record: async () => {},
}

/** Writes the ledger and tells who bills; belongs into the transaction of the state it was used for. */
export async function recordUsed(metering: Metering, tx: TenantDb, used: Used, at: string): Promise<void> {
  await insertModelCalls(tx, used.calls ?? [])
  await metering.record(tx, used, at)
}
