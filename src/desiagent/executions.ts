import type { Page, PageRequest } from '#kit/db/page.ts'
import { transaction } from '#kit/db/transaction.ts'
import {
  ArtifactNotFound,
  ExecutionActive,
  ExecutionEnded,
  ExecutionNotFound,
  ExecutionNotResumable,
} from './errors.ts'
import type { ExecutionEvent } from './events.ts'
import type { Execution, ExecutionFilter, ExecutionStatus } from './execution.ts'
import { runExecution } from './executor/run-execution.ts'
import { type Suspension, suspendAll } from './executor/suspend-all.ts'
import type { DesiAgentParts } from './parts.ts'
import * as artifacts from './store/artifacts.ts'
import { insertEvents, listEvents } from './store/events.ts'
import * as store from './store/executions.ts'
import { endUnfinished, listSubSteps, reopenUnfinished, type SubStep } from './store/sub-steps.ts'
import { NOTHING_USED } from './store/usage-columns.ts'

const RESUMABLE: readonly ExecutionStatus[] = ['suspended', 'paused', 'partial', 'failed']
const ENDED: readonly ExecutionStatus[] = ['completed', 'partial', 'failed', 'cancelled']
const CANCELLABLE: readonly ExecutionStatus[] = ['pending', 'running', 'waiting', 'paused', 'suspended']
const RESTING: readonly ExecutionStatus[] = [...ENDED, 'suspended', 'paused']

/** Plans being carried out, and what came of them. */
export function executionsOf(parts: DesiAgentParts) {
  const { db, shared } = parts
  const nowIso = () => shared.now().toISOString()

  return {
    list: (filter: ExecutionFilter, page: PageRequest): Promise<Page<Execution>> =>
      store.listExecutions(db, filter, page),

    /** @throws ExecutionNotFound */
    async get(id: string): Promise<Execution> {
      const execution = await store.findExecution(db, id)
      if (!execution) throw new ExecutionNotFound()
      return execution
    },

    /** The execution with its sub-steps as they were at one moment. @throws ExecutionNotFound */
    async details(id: string): Promise<Execution & { subSteps: SubStep[] }> {
      return transaction(db, async (tx) => {
        const execution = await store.findExecution(tx, id)
        if (!execution) throw new ExecutionNotFound()
        return { ...execution, subSteps: await listSubSteps(tx, id) }
      })
    },

    /** In the order of the plan. @throws ExecutionNotFound */
    async subSteps(id: string): Promise<SubStep[]> {
      await this.get(id)
      return listSubSteps(db, id)
    },

    /** The events behind number `after`, at most `limit`. The caller has looked the execution up. */
    events: (id: string, after: number, limit: number): Promise<ExecutionEvent[]> => listEvents(db, id, after, limit),

    /** The id of the first execution of a DAG, or null. */
    firstOf: (dagId: string): Promise<string | null> => store.findFirstExecutionOf(db, dagId),

    /** Runs an execution here, if nobody does and it has not ended. */
    run: (id: string): Promise<void> => runExecution(parts, id),

    /**
     * Stops an execution for good; calls in flight are aborted. Cancelling twice answers the same.
     *
     * @throws ExecutionNotFound, ExecutionEnded
     */
    async cancel(id: string): Promise<Execution> {
      const execution = await this.get(id)
      if (execution.status === 'cancelled') return execution
      const now = shared.now()
      const durationMs = execution.startedAt === null ? null : now.getTime() - Date.parse(execution.startedAt)
      const isCancelled = await transaction(db, async (tx) => {
        const at = now.toISOString()
        const change = { status: 'cancelled' as const, completedAt: at, durationMs, isLeaseReleased: true }
        const seq = await store.changeExecution(tx, id, { statuses: CANCELLABLE }, change, NOTHING_USED, 1, at)
        if (seq === null) return false
        await endUnfinished(tx, id, 'cancelled', at)
        await insertEvents(tx, id, seq, [{ type: 'execution:cancelled', data: {} }], at)
        return true
      })
      const after = await this.get(id)
      if (!isCancelled && after.status !== 'cancelled') throw new ExecutionEnded({ status: after.status })
      shared.running.stop(id)
      shared.wake.notify(id)
      await parts.directory.removeDueWork('execution', id)
      return after
    },

    /** Suspends all that have not come to rest; calls in flight are aborted. */
    suspendAll: (why: Suspension): Promise<void> => suspendAll(parts, why),

    /**
     * Goes on with what has not completed: suspended, paused, partial and failed executions.
     *
     * @throws ExecutionNotFound, ExecutionNotResumable
     */
    async resume(id: string): Promise<Execution> {
      await this.get(id)
      await parts.directory.putDueWork('execution', id, nowIso())
      const isReopened = await transaction(db, async (tx) => {
        const at = nowIso()
        const seq = await store.reopenExecution(tx, id, RESUMABLE, at)
        if (seq === null) return false
        await shared.metering.admitResume(tx)
        await reopenUnfinished(tx, id, at)
        await insertEvents(tx, id, seq, [{ type: 'execution:resumed', data: {} }], at)
        return true
      })
      const execution = await this.get(id)
      if (!isReopened) throw new ExecutionNotResumable({ status: execution.status })
      shared.wake.notify(id)
      shared.queue.push({ tenantId: parts.tenantId, executionId: id })
      return execution
    },

    /**
     * Deletes an execution with its steps, events and files; what it used stays in the ledger.
     *
     * @throws ExecutionNotFound, ExecutionActive
     */
    async remove(id: string): Promise<void> {
      const isDeleted = await store.deleteExecution(db, id, RESTING)
      if (!isDeleted) {
        const { status } = await this.get(id)
        throw new ExecutionActive({ status })
      }
      await shared.blobs.deleteAll(`${parts.tenantId}/executions/${id}`)
    },
  }
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
