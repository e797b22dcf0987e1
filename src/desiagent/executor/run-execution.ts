import { addMilliseconds } from '#kit/time.ts'
import type { NewEvent } from '../events.ts'
import type { DesiAgentParts } from '../parts.ts'
import { type Claimed, claimExecution, countCrashes } from '../store/claim-execution.ts'
import { hasEvent } from '../store/events.ts'
import { findExecution } from '../store/executions.ts'
import { releaseLease } from '../store/leases.ts'
import { listSubSteps, putBackRunning } from '../store/sub-steps.ts'
import { forgetDueRow } from './due-row.ts'
import { suspend } from './finish.ts'
import { LeaseLost } from './journal.ts'
import { Run, renewalOf } from './run.ts'
import { leaseEnd } from './start.ts'

/** One that its process died of again is run by itself: the next death tells whether it was the cause. */
const SUSPECT_FROM = 2
/** After this many deaths or unexpected errors in the same execution it is parked, so that it cannot go on for ever. */
const MAX_CRASHES = 3

/**
 * Takes an execution and runs it until it has ended, rests, or is no longer ours. Safe to call for one that has ended
 * or is run elsewhere: it then does nothing.
 *
 * @throws what nobody expected; the caller tries again
 */
export async function runExecution(parts: DesiAgentParts, executionId: string): Promise<void> {
  const { running } = parts.shared
  const stop = running.begin(executionId)
  if (!stop) return
  let isOurs = false
  let isYielded = false
  const run = async (onProgress: () => void) => {
    const claimed = await claim(parts, executionId)
    isOurs = claimed !== null
    if (claimed) isYielded = await runClaimed(parts, claimed, stop, onProgress)
    else await forgetDueRow(parts, executionId) // its process died between the end and the clearing of the row
    // After an end the row has no lease any more; after a shutdown this lets the next process go on at once. An error
    // that nobody expected keeps the lease: the next claim then counts it like a death of the process.
    if (isOurs) await releaseLease(parts.db, 'executions', executionId, running.owner)
  }
  try {
    const isSuspect = (await countCrashes(parts.db, executionId)) >= SUSPECT_FROM
    await (isSuspect ? running.alone(parts.tenantId, run) : run(() => {}))
  } finally {
    running.end(executionId)
  }
  if (isOurs) await pushIfPending(parts, executionId, isYielded)
}

/**
 * It gave its place to another tenant's. Or somebody resumed it between its end and now: that push found it still
 * running here, and its index row may be gone.
 */
async function pushIfPending(
  { db, directory, shared, tenantId }: DesiAgentParts,
  executionId: string,
  isYielded: boolean,
): Promise<void> {
  const execution = await findExecution(db, executionId)
  if (execution?.status !== 'pending') return
  await directory.putDueWork('execution', executionId, leaseEnd(shared))
  shared.queue.push({ tenantId, executionId }, { isYielded })
}

function claim({ db, shared }: DesiAgentParts, executionId: string): Promise<Claimed | null> {
  const { settings, running } = shared
  const now = shared.now()
  const until = addMilliseconds(now, settings.leaseMs).toISOString()
  const { isSoleProcess, leaseMs } = settings
  const lease = { owner: running.owner, until, isSoleProcess, renewedEveryMs: renewalOf(leaseMs) }
  return claimExecution(db, executionId, lease, now.toISOString())
}

/** @returns true when it has given its place to another tenant */
async function runClaimed(
  parts: DesiAgentParts,
  claimed: Claimed,
  stop: AbortController,
  onProgress: () => void,
): Promise<boolean> {
  const { id } = claimed.execution
  if (claimed.isTakeOver) await putBackRunning(parts.db, [id], parts.shared.now().toISOString())
  const run = new Run(parts, claimed, await listSubSteps(parts.db, id), stop, onProgress)
  try {
    if (claimed.crashCount >= MAX_CRASHES) {
      const message = `The server died or failed ${claimed.crashCount} times while it was running this execution.`
      await suspend(run, { code: 'crashed_repeatedly', message })
      return false
    }
    const events = await firstEvents(parts, claimed)
    if (events.length > 0) await run.journal.commit({ events })
  } catch (error) {
    if (error instanceof LeaseLost) return false
    throw error
  }
  await run.drive()
  return run.hasYielded
}

/** A deliberate resume has told of itself already, and so has the end of a turn. */
async function firstEvents({ db }: DesiAgentParts, { execution, isTakeOver }: Claimed): Promise<NewEvent[]> {
  const { id, lastEventSeq, totalTasks: total, originalRequest: request } = execution
  // Looked up, because it may have been paused before, or its process died between the claim and the first event.
  const isStarted = lastEventSeq > 0 && (await hasEvent(db, id, 'execution:started'))
  if (!isStarted) return [{ type: 'execution:started', data: { total, request } }]
  return isTakeOver ? [{ type: 'execution:resumed', data: {} }] : []
}
