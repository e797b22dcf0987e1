import { lockWholeTenant } from '#kit/db/lock-tenant.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { ExecutionNotResumable, SubStepNotFound, SubStepNotRetryable } from '../errors.ts'
import type { NewEvent } from '../events.ts'
import type { Execution, ExecutionStatus } from '../execution.ts'
import { forgetDueRow } from '../executor/due-row.ts'
import { leaseEnd } from '../executor/start.ts'
import { type ExecutionLimits, limitsOrNull } from '../limits.ts'
import type { DesiAgentParts } from '../parts.ts'
import { dependantsOf } from '../planner/graph.ts'
import { insertEvents } from '../store/events.ts'
import { recountSteps, reopenExecution, reopenPaused, takeBackPause } from '../store/reopen-execution.ts'
import { listSubSteps, reopenSteps, reopenUnfinished, type SubStep } from '../store/sub-steps.ts'
import { getExecution } from './halt.ts'

const RETRYABLE: readonly ExecutionStatus[] = ['suspended', 'partial', 'failed']
const STEPS_RETRYABLE: readonly ExecutionStatus[] = ['completed', 'partial', 'failed', 'suspended', 'paused']

/**
 * Goes on with what has not completed: paused, suspended, partial and failed executions, and those about to pause.
 *
 * @param limits  in the place of those it had; undefined: the same
 * @throws ExecutionNotFound, ExecutionNotResumable
 */
export async function resumeExecution(parts: DesiAgentParts, id: string, limits?: ExecutionLimits): Promise<Execution> {
  const wished = limits === undefined ? undefined : limitsOrNull(limits)
  return letGoOn(parts, id, async (tx, at) => {
    // Limits of one that runs are in use; who wants others waits until it rests.
    const going = wished === undefined ? await takeBackPause(tx, id, at) : null
    const seq = going ?? (await reopenPaused(tx, id, wished, at)) ?? (await reopenForRetry(tx, id, wished, at))
    if (seq === null) throw new ExecutionNotResumable({ status: (await getExecution({ db: tx }, id)).status })
    return { seq, events: [{ type: 'execution:resumed', data: {} }] }
  })
}

/**
 * Runs one sub-step again, with everything that depends on it and can be run: not what another failed one keeps back.
 *
 * @throws ExecutionNotFound, SubStepNotFound, SubStepNotRetryable
 */
export async function retrySubStep(parts: DesiAgentParts, id: string, subStepId: string): Promise<Execution> {
  return letGoOn(parts, id, async (tx, at) => {
    const steps = await listSubSteps(tx, id)
    const step = steps.find((candidate) => candidate.id === subStepId)
    if (!step) throw new SubStepNotFound()
    const again = toRunAgain(steps, step)
    const events: NewEvent[] = again.map(({ taskId }) => ({ type: 'execution:task_retried', data: { taskId } }))
    events.push({ type: 'execution:resumed', data: {} })
    const isOver = step.status === 'completed' || step.status === 'failed'
    const seq = isOver ? await reopenExecution(tx, id, STEPS_RETRYABLE, undefined, events.length, at) : null
    if (seq === null) {
      const { status: executionStatus } = await getExecution({ db: tx }, id)
      throw new SubStepNotRetryable({ executionStatus, subStepStatus: step.status })
    }
    // What a person had to cure is retried along, as a resume would: with a key of its own.
    const refused = steps.filter((other) => other.status === 'pending' && other.error !== null)
    const ids = new Set([...again, ...refused].map((reopened) => reopened.id))
    await reopenSteps(tx, [...ids], at)
    await recountSteps(tx, id)
    return { seq, events }
  })
}

function toRunAgain(steps: readonly SubStep[], step: SubStep): SubStep[] {
  const again = new Set([step, ...dependantsOf(steps, step.taskId)])
  for (const other of steps) {
    if (other.status !== 'failed' || again.has(other)) continue
    for (const keptBack of dependantsOf(steps, other.taskId)) again.delete(keptBack)
  }
  return [...again]
}

/** What every way of going on has in common. @param reopen  in a transaction; throws when it may not */
async function letGoOn(
  parts: DesiAgentParts,
  id: string,
  reopen: (tx: TenantDb, at: string) => Promise<{ seq: number; events: NewEvent[] }>,
): Promise<Execution> {
  const { db, directory, shared, tenantId } = parts
  await getExecution(parts, id)
  await directory.putDueWork('execution', id, leaseEnd(shared))
  try {
    await transaction(db, async (tx) => {
      await lockWholeTenant(tx) // first, as who suspends all does: else the two could wait for each other crosswise
      const at = shared.now().toISOString()
      const { seq, events } = await reopen(tx, at)
      await shared.metering.admitResume(tx)
      await insertEvents(tx, id, seq, events, at)
    })
  } catch (error) {
    await forgetDueRow(parts, id)
    throw error
  }
  shared.wake.notify(id)
  shared.queue.push({ tenantId, executionId: id })
  return getExecution(parts, id)
}

async function reopenForRetry(
  tx: TenantDb,
  id: string,
  limits: ExecutionLimits | null | undefined,
  at: string,
): Promise<number | null> {
  const seq = await reopenExecution(tx, id, RETRYABLE, limits, 1, at)
  if (seq === null) return null
  await reopenUnfinished(tx, id, at)
  await recountSteps(tx, id)
  return seq
}
