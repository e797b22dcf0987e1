import { transaction } from '#kit/db/transaction.ts'
import { ExecutionEnded, ExecutionNotFound, ExecutionNotPausable } from '../errors.ts'
import type { Execution, ExecutionStatus } from '../execution.ts'
import { comeToRest } from '../executor/finish.ts'
import type { DesiAgentParts } from '../parts.ts'
import { insertEvents } from '../store/events.ts'
import * as store from '../store/executions.ts'
import { requestPause } from '../store/reopen-execution.ts'
import { endUnfinished } from '../store/sub-steps.ts'
import { NOTHING_USED } from '../store/usage-columns.ts'

const CANCELLABLE: readonly ExecutionStatus[] = ['pending', 'running', 'waiting', 'paused', 'suspended']
/** Nobody runs it, so there is nothing to wait for. */
const PAUSED_AT_ONCE: readonly ExecutionStatus[] = ['pending', 'waiting']

/** It may have given its place to another tenant's and wait for its next turn. */
const RUNS_ON: readonly ExecutionStatus[] = ['running', 'pending']

/** @throws ExecutionNotFound */
export async function getExecution({ db }: Pick<DesiAgentParts, 'db'>, id: string): Promise<Execution> {
  const execution = await store.findExecution(db, id)
  if (!execution) throw new ExecutionNotFound()
  return execution
}

/**
 * Stops an execution for good; calls in flight are aborted. Cancelling twice answers the same.
 *
 * @throws ExecutionNotFound, ExecutionEnded
 */
export async function cancelExecution(parts: DesiAgentParts, id: string): Promise<Execution> {
  const { db, shared } = parts
  const execution = await getExecution(parts, id)
  if (execution.status === 'cancelled') return execution
  const now = shared.now()
  const durationMs = execution.startedAt === null ? null : now.getTime() - Date.parse(execution.startedAt)
  const isCancelled = await transaction(db, async (tx) => {
    const at = now.toISOString()
    const released = { isLeaseReleased: true, isPauseTakenBack: true }
    const change = { status: 'cancelled' as const, completedAt: at, durationMs, ...released }
    const changed = await store.changeExecution(tx, id, { statuses: CANCELLABLE }, change, NOTHING_USED, 1, at)
    if (changed === null) return false
    await endUnfinished(tx, id, 'cancelled', at)
    await insertEvents(tx, id, changed.lastSeq, [{ type: 'execution:cancelled', data: {} }], at)
    return true
  })
  const after = await getExecution(parts, id)
  if (!isCancelled && after.status !== 'cancelled') throw new ExecutionEnded({ status: after.status })
  shared.running.stop(id)
  shared.wake.notify(id)
  await comeToRest(parts, execution)
  return after
}

/**
 * Lets an execution rest: at once when it waits for its turn, else when its sub-steps in flight have ended, whoever runs
 * it. Pausing twice answers the same.
 *
 * @throws ExecutionNotFound, ExecutionNotPausable
 */
export async function pauseExecution(parts: DesiAgentParts, id: string): Promise<Execution> {
  const { db, shared } = parts
  await getExecution(parts, id)
  await transaction(db, async (tx) => {
    const at = shared.now().toISOString()
    const change = { status: 'paused' as const, isPauseTakenBack: true }
    const rested = await store.changeExecution(tx, id, { statuses: PAUSED_AT_ONCE }, change, NOTHING_USED, 1, at)
    if (rested) return insertEvents(tx, id, rested.lastSeq, [{ type: 'execution:paused', data: {} }], at)
    const seq = await requestPause(tx, id, at)
    if (seq !== null) await insertEvents(tx, id, seq, [{ type: 'execution:pause_requested', data: {} }], at)
  })
  const after = await getExecution(parts, id)
  const isPausing = RUNS_ON.includes(after.status) && after.pauseRequestedAt !== null
  if (after.status !== 'paused' && !isPausing) throw new ExecutionNotPausable({ status: after.status })
  shared.wake.notify(id)
  if (after.status === 'paused') await comeToRest(parts, after)
  return after
}
