import { spentOn } from '../costs.ts'
import type { Dag } from '../dag.ts'
import type { TrialEnd } from '../experiment.ts'
import { INTERRUPTED, UNEXPECTED } from '../planner/plan-dag.ts'

/** A trial ends as the planning of its DAG has ended. */
export function endOf(dag: Dag): TrialEnd {
  return {
    ...spentOn(dag.planningAttempts),
    status: dag.status as TrialEnd['status'],
    dagId: dag.id,
    error: dag.error && { code: dag.error.code, message: dag.error.message },
    taskCount: dag.status === 'success' ? (dag.plan?.sub_tasks.length ?? null) : null,
    durationMs: Date.parse(dag.updatedAt) - Date.parse(dag.createdAt),
  }
}

/** Something stood in the way of its planning. @param dag  null when it was not even written */
export function failed(dag: Dag | null, error: { code: string; message: string }): TrialEnd {
  const nothing = { ...spentOn([]), dagId: null, taskCount: null, durationMs: null }
  return { ...(dag ? endOf(dag) : nothing), status: 'failed', error }
}

/** Nobody knows what the call cost that may have been in flight. */
export function failedUnexpectedly(dag: Dag | null): TrialEnd {
  return { ...failed(dag, UNEXPECTED), costUsdMicros: null }
}

/** What a process that died left running: over, unless its DAG got its end in time. */
export function endOfLeft(dag: Dag | null): TrialEnd {
  const hasEnd = dag !== null && dag.status !== 'planning' && dag.error?.code !== INTERRUPTED.code
  // Nobody knows what the call cost that was in flight, nor when it all stopped.
  return hasEnd ? endOf(dag) : { ...failed(dag, INTERRUPTED), costUsdMicros: null, durationMs: null }
}
