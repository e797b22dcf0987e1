import type { Page, PageRequest } from '#kit/db/page.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { ArtifactNotFound, ExecutionActive, ExecutionNotFound } from './errors.ts'
import type { ExecutionEvent } from './events.ts'
import type { Execution, ExecutionFilter, ExecutionStatus } from './execution.ts'
import { resumeExecution, retrySubStep } from './executions/go-on.ts'
import { cancelExecution, getExecution, pauseExecution } from './executions/halt.ts'
import { runExecution } from './executor/run-execution.ts'
import { type Suspension, suspendAll } from './executor/suspend-all.ts'
import type { ExecutionLimits } from './limits.ts'
import type { DesiAgentParts } from './parts.ts'
import * as artifacts from './store/artifacts.ts'
import { listEvents } from './store/events.ts'
import * as store from './store/executions.ts'
import { listSubSteps, type SubStep } from './store/sub-steps.ts'
import { listLastArguments } from './store/tool-calls.ts'

const ENDED: readonly ExecutionStatus[] = ['completed', 'partial', 'failed', 'cancelled']
const RESTING: readonly ExecutionStatus[] = [...ENDED, 'suspended', 'paused']

/** Plans being carried out, and what came of them. */
export function executionsOf(parts: DesiAgentParts) {
  const { db, shared } = parts

  return {
    list: (filter: ExecutionFilter, page: PageRequest): Promise<Page<Execution>> =>
      store.listExecutions(db, filter, page),

    /** @throws ExecutionNotFound */
    get: (id: string): Promise<Execution> => getExecution(parts, id),

    /** The execution with its sub-steps as they were at one moment. @throws ExecutionNotFound */
    async details(id: string): Promise<Execution & { subSteps: SubStepView[] }> {
      return transaction(db, async (tx) => {
        const execution = await store.findExecution(tx, id)
        if (!execution) throw new ExecutionNotFound()
        return { ...execution, subSteps: await viewSubSteps(tx, id) }
      })
    },

    /** In the order of the plan. @throws ExecutionNotFound */
    async subSteps(id: string): Promise<SubStepView[]> {
      await getExecution(parts, id)
      return viewSubSteps(db, id)
    },

    /** The events behind number `after`, at most `limit`. The caller has looked the execution up. */
    events: (id: string, after: number, limit: number): Promise<ExecutionEvent[]> => listEvents(db, id, after, limit),

    /** The id of the first execution of a DAG, or null. */
    firstOf: (dagId: string): Promise<string | null> => store.findFirstExecutionOf(db, dagId),

    /** Runs an execution here, if nobody does and it has not ended. */
    run: (id: string): Promise<void> => runExecution(parts, id),

    /** @throws ExecutionNotFound, ExecutionEnded */
    cancel: (id: string): Promise<Execution> => cancelExecution(parts, id),

    /** @throws ExecutionNotFound, ExecutionNotPausable */
    pause: (id: string): Promise<Execution> => pauseExecution(parts, id),

    /** @throws ExecutionNotFound, ExecutionNotResumable */
    resume: (id: string, limits?: ExecutionLimits): Promise<Execution> => resumeExecution(parts, id, limits),

    /** @throws ExecutionNotFound, SubStepNotFound, SubStepNotRetryable */
    retrySubStep: (id: string, subStepId: string): Promise<Execution> => retrySubStep(parts, id, subStepId),

    /** Suspends all that have not come to rest; calls in flight are aborted. */
    suspendAll: (why: Suspension): Promise<void> => suspendAll(parts, why),

    /**
     * Deletes an execution with its steps, events and files; what it used stays in the ledger.
     *
     * @throws ExecutionNotFound, ExecutionActive
     */
    async remove(id: string): Promise<void> {
      const isDeleted = await store.deleteExecution(db, id, RESTING)
      if (!isDeleted) {
        const { status } = await getExecution(parts, id)
        throw new ExecutionActive({ status })
      }
      shared.wake.notify(id) // who follows it has nothing to wait for
      await shared.blobs.deleteAll(`${parts.tenantId}/executions/${id}`)
    },
  }
}

/** A sub-step with what its tool was last called with. */
export interface SubStepView extends SubStep {
  toolArguments: Record<string, unknown> | null
}

async function viewSubSteps(db: TenantDb, id: string): Promise<SubStepView[]> {
  const [steps, lastArguments] = [await listSubSteps(db, id), await listLastArguments(db, id)]
  return steps.map((step) => ({ ...step, toolArguments: lastArguments.get(step.id) ?? null }))
}

/** The files of an execution: inputs it was given, outputs its steps wrote. */
export function artifactsOf({ db, shared }: DesiAgentParts) {
  return {
    /** @throws ExecutionNotFound */
    async list(executionId: string, page: PageRequest): Promise<Page<artifacts.StoredArtifact>> {
      if (!(await store.findExecution(db, executionId))) throw new ExecutionNotFound()
      return artifacts.listArtifacts(db, executionId, page)
    },

    /** @throws ArtifactNotFound */
    async read(
      executionId: string,
      artifactId: string,
    ): Promise<{ artifact: artifacts.StoredArtifact; bytes: Uint8Array }> {
      const artifact = await artifacts.findArtifactById(db, executionId, artifactId)
      const bytes = artifact && (await shared.blobs.get(artifact.blobKey))
      if (!artifact || !bytes) throw new ArtifactNotFound()
      return { artifact, bytes }
    },
  }
}
