import { addMilliseconds } from '#kit/time.ts'
import type { NewEvent } from '../events.ts'
import type { DesiAgentParts } from '../parts.ts'
import { type Claimed, claimExecution } from '../store/claim-execution.ts'
import { findExecution } from '../store/executions.ts'
import { releaseLease } from '../store/leases.ts'
import { listSubSteps, putBackRunning } from '../store/sub-steps.ts'
import { suspend } from './finish.ts'
import { LeaseLost } from './journal.ts'
import { Run } from './run.ts'

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
  try {
    const claimed = await claim(parts, executionId)
    isOurs = claimed !== null
    if (claimed) await runClaimed(parts, claimed, stop)
    else await forgetIfOver(parts, executionId)
    // After an end the row has no lease any more; after a shutdown this lets the next process go on at once. An error
    // that nobody expected keeps the lease: the next claim then counts it like a death of the process.
    if (isOurs) await releaseLease(parts.db, 'executions', executionId, running.owner)
  } finally {
    running.end(executionId)
  }
  if (isOurs) await pushIfResumed(parts, executionId)
}

/** Somebody resumed it between its end and now: that push found it still running here, and its index row may be gone. */
async function pushIfResumed({ db, directory, shared, tenantId }: DesiAgentParts, executionId: string): Promise<void> {
  const execution = await findExecution(db, executionId)
  if (execution?.status !== 'pending') return
  await directory.putDueWork('execution', executionId, shared.now().toISOString())
  shared.queue.push({ tenantId, executionId })
}

function claim({ db, shared }: DesiAgentParts, executionId: string): Promise<Claimed | null> {
  const { settings, running } = shared
  const now = shared.now()
  const until = addMilliseconds(now, settings.leaseMs).toISOString()
  const lease = { owner: running.owner, until, isSoleProcess: settings.isSoleProcess }
  return claimExecution(db, executionId, lease, now.toISOString())
}

async function runClaimed(parts: DesiAgentParts, claimed: Claimed, stop: AbortController): Promise<void> {
  const run = new Run(parts, claimed, await listSubSteps(parts.db, claimed.execution.id), stop)
  try {
    if (claimed.crashCount >= MAX_CRASHES) {
      const message = `The server died or failed ${claimed.crashCount} times while it was running this execution.`
      await putBackRunning(parts.db, [claimed.execution.id], parts.shared.now().toISOString())
      await suspend(run, { code: 'crashed_repeatedly', message })
      return
    }
    const events = firstEvents(claimed)
    if (events.length > 0) await run.journal.commit({ events })
  } catch (error) {
    if (error instanceof LeaseLost) return
    throw error
  }
  await run.drive()
}

/** A deliberate resume has told of itself already. */
function firstEvents({ execution, isTakeOver }: Claimed): NewEvent[] {
  if (isTakeOver) return [{ type: 'execution:resumed', data: {} }]
  if (execution.lastEventSeq > 0) return []
  return [{ type: 'execution:started', data: { total: execution.totalTasks, request: execution.originalRequest } }]
}

/** Clears an index row that leads to nothing more to do: the process died between the end and the clearing. */
async function forgetIfOver({ db, directory }: DesiAgentParts, executionId: string): Promise<void> {
  const execution = await findExecution(db, executionId)
  const isDue = execution?.status === 'pending' || execution?.status === 'running'
  if (!isDue) await directory.removeDueWork('execution', executionId)
}
