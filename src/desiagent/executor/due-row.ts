import type { DesiAgentParts } from '../parts.ts'
import { findExecution } from '../store/executions.ts'
import { leaseEnd } from './start.ts'

/**
 * Takes an execution out of the index of due work, unless there is something to do for it. It is looked at again after
 * that: whoever resumed it meanwhile has put its row in before, and it must not be lost.
 */
export async function forgetDueRow({ db, directory, shared }: DesiAgentParts, executionId: string): Promise<void> {
  if (await isOpen()) return
  await directory.removeDueWork('execution', executionId)
  if (await isOpen()) await directory.putDueWork('execution', executionId, leaseEnd(shared))

  async function isOpen(): Promise<boolean> {
    const execution = await findExecution(db, executionId)
    return execution?.status === 'pending' || execution?.status === 'running'
  }
}
