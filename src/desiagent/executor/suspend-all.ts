import { transaction } from '#kit/db/transaction.ts'
import type { ExecutionStatus } from '../execution.ts'
import type { DesiAgentParts } from '../parts.ts'
import { insertEventInEach } from '../store/events.ts'
import { suspendSome } from '../store/executions.ts'
import { putBackRunning } from '../store/sub-steps.ts'

/** Why: a stable snake_case word, and a sentence for people. */
export interface Suspension {
  code: string
  message: string
}

const NOT_AT_REST: readonly ExecutionStatus[] = ['pending', 'running', 'waiting']
/** Keeps each transaction short: a tenant may have thousands waiting. */
const AT_ONCE = 50

/**
 * Parks every execution that has not come to rest, until somebody resumes it. Calls in flight are aborted; what was paid
 * for them still reaches the ledger, as when an execution is cancelled.
 */
export async function suspendAll(parts: DesiAgentParts, why: Suspension): Promise<void> {
  const { running, metrics, wake } = parts.shared
  for (;;) {
    const ids = await suspendNext(parts, why)
    for (const id of ids) {
      running.stop(id)
      metrics.execution('suspended')
      wake.notify(id)
      await parts.directory.removeDueWork('execution', id)
    }
    if (ids.length < AT_ONCE) return
  }
}

async function suspendNext({ db, shared }: DesiAgentParts, { code, message }: Suspension): Promise<string[]> {
  const at = shared.now().toISOString()
  return transaction(db, async (tx) => {
    const suspended = await suspendSome(tx, NOT_AT_REST, `${code}: ${message}`, AT_ONCE, at)
    const ids = suspended.map(({ id }) => id)
    if (ids.length > 0) await putBackRunning(tx, ids, at)
    await insertEventInEach(tx, suspended, { type: 'execution:suspended', data: {}, error: { message, code } }, at)
    return ids
  })
}
