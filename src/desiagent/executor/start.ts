import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { Dag, DagInput } from '../dag.ts'
import type { Charge } from '../limits/budget.ts'
import type { ExecutionLimits } from '../limits.ts'
import type { DesiAgentParts, SharedParts } from '../parts.ts'
import type { DecomposerJob } from '../planner/decomposer-job.ts'
import { waves } from '../planner/graph.ts'
import { insertArtifacts } from '../store/artifacts.ts'
import { insertExecution } from '../store/executions.ts'
import { insertSubSteps } from '../store/sub-steps.ts'

/** What is executed: the plan as it is now; later changes of the DAG do not reach it. */
export interface ExecutionOrder {
  dag: Dag
  plan: DecomposerJob
  inputs: readonly DagInput[]
  /** Who begins it; null: a service key. */
  createdBy: string | null
  limits?: ExecutionLimits | null | undefined
  /** What counts against the limits already: planning under the same limits. */
  planned?: PlannedWithin | undefined
  /** Whose occurrence begins it. */
  scheduleId?: string | null | undefined
}

/** What planning took of the limits. */
export interface PlannedWithin extends Charge {
  wallMs: number
}

/** An execution on its way: announced in control first, then written, then a worker is woken. */
export interface NewExecution {
  readonly id: string
  /** Writes the index row, so that a restart finds the execution even when nobody was woken. */
  announce(): Promise<void>
  /** @throws what refuses it for want of room */
  insert(tx: TenantDb, order: ExecutionOrder): Promise<void>
  wake(): void
  /** Takes the announcement back when nothing came of it. */
  withdraw(): Promise<void>
}

/** When somebody else is to look at work that this process is about to begin itself. */
export function leaseEnd({ now, settings }: SharedParts): string {
  return addMilliseconds(now(), settings.leaseMs).toISOString()
}

export function newExecution({ tenantId, directory, shared }: DesiAgentParts): NewExecution {
  const id = shared.newId()
  return {
    id,
    announce: () => directory.putDueWork('execution', id, leaseEnd(shared)),
    async insert(tx, order) {
      const now = shared.now()
      const { dag, createdBy } = order
      await shared.metering.admitExecution(tx)
      await insertRows(tx, id, order, shared.newId, now)
      const usedFor = { dagId: dag.id, executionId: id, subStepId: null, userId: createdBy }
      await shared.metering.record(tx, { executions: 1, for: usedFor }, now.toISOString())
    },
    wake() {
      shared.metrics.execution('pending')
      shared.queue.push({ tenantId, executionId: id })
    },
    withdraw: () => directory.removeDueWork('execution', id),
  }
}

/** Announces, inserts in one transaction, wakes. @returns the execution's id */
export async function startExecution(
  parts: DesiAgentParts,
  insert: (tx: TenantDb, execution: NewExecution) => Promise<void>,
): Promise<string> {
  const execution = newExecution(parts)
  await execution.announce()
  try {
    await transaction(parts.db, (tx) => insert(tx, execution))
  } catch (error) {
    await execution.withdraw()
    throw error
  }
  execution.wake()
  return execution.id
}

async function insertRows(
  tx: TenantDb,
  id: string,
  order: ExecutionOrder,
  newId: () => string,
  now: Date,
): Promise<void> {
  const { dag, plan, inputs, limits = null, planned, scheduleId = null } = order
  const at = now.toISOString()
  const depths = waves(plan.sub_tasks)
  await insertExecution(tx, {
    id,
    dagId: dag.id,
    dagTitle: dag.dagTitle,
    originalRequest: plan.original_request,
    primaryIntent: plan.intent.primary,
    synthesisPlan: plan.synthesis_plan,
    params: dag.params,
    totalTasks: plan.sub_tasks.length,
    limits,
    charged: planned ?? { tokens: 0, costUsdMicros: 0, wallMs: 0 },
    scheduleId,
    createdBy: order.createdBy,
    createdAt: at,
  })
  await insertSubSteps(
    tx,
    plan.sub_tasks.map((task, index) => ({
      id: newId(),
      executionId: id,
      position: index + 1,
      wave: depths.get(task.id) ?? 1,
      task,
      createdAt: at,
    })),
  )
  await insertArtifacts(
    tx,
    inputs.map((input) => ({ ...input, id: newId(), executionId: id, origin: 'input' as const, createdAt: at })),
  )
}
