import { lockWholeTenant } from '#kit/db/lock-tenant.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { ExecutionStatus } from '../execution.ts'
import type { DesiAgentParts } from '../parts.ts'
import { insertEventInEach } from '../store/events.ts'
import { findByStatus, suspendEach } from '../store/executions.ts'
import { putBackRunning } from '../store/sub-steps.ts'
import { forgetDueRow } from './due-row.ts'

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
    const { found, suspended } = await suspendNext(parts, why)
    for (const id of suspended) {
      running.stop(id)
      metrics.execution('suspended')
      wake.notify(id)
      await forgetDueRow(parts, id)
    }
    if (found === 0) return // not sooner: of those that were found another process may have changed some
  }
}

async function suspendNext({ db, shared }: DesiAgentParts, { code, message }: Suspension) {
  const at = shared.now().toISOString()
  return transaction(db, async (tx) => {
    await lockWholeTenant(tx) // two that suspend the same executions would wait for each other crosswise
    // Those that are pending come before those that run: a running one that is stopped gives its place to the next.
    const found = await findByStatus(tx, NOT_AT_REST, AT_ONCE)
    if (found.length === 0) return { found: 0, suspended: [] }
    const taken = await suspendEach(tx, found, NOT_AT_REST, `${code}: ${message}`, at)
    const suspended = taken.map(({ id }) => id)
    if (suspended.length > 0) await putBackRunning(tx, suspended, at)
    await insertEventInEach(tx, taken, { type: 'execution:suspended', data: {}, error: { message, code } }, at)
    return { found: found.length, suspended }
  })
}
