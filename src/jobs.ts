import type { DesiAgent } from '#desiagent/index.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { type DueWork, directoryOf, listDueWork } from '#kit/db/directory.ts'
import type { PinnedHome, TenantHomes } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Clock } from '#kit/time.ts'
import type { Log } from '#ports/log.ts'
import type { ExecutionJob, ExecutionQueue } from '#ports/queue.ts'

export interface JobParts {
  control: ControlDb
  homes: TenantHomes
  desiOf(tenantId: string, db: TenantDb): DesiAgent
  queue: ExecutionQueue
  log: Log
  now: Clock
}

const PAGE = 500
const TRY_AGAIN_AFTER_MS = 1_000
const OPEN_AGAIN_AFTER_MS = 60_000

/** The work without a request. */
export function createJobs({ control, homes, desiOf, queue, log, now }: JobParts) {
  return {
    /** Runs one execution to where it ends or rests. Never rejects: what failed unexpectedly is pushed again. */
    async runExecution(job: ExecutionJob): Promise<void> {
      const { tenantId, executionId } = job
      let home: PinnedHome | null = null
      try {
        home = await homes.pin(tenantId)
        if (home) await desiOf(tenantId, home.db).executions.run(executionId)
        else await directoryOf(control, tenantId).removeDueWork('execution', executionId)
      } catch (error) {
        log.error({ err: error, tenantId, executionId }, 'an execution could not be run')
        // A database that cannot be opened is not counted like a crash of the execution, so it is not asked as often.
        setTimeout(() => queue.push(job), home ? TRY_AGAIN_AFTER_MS : OPEN_AGAIN_AFTER_MS)
      } finally {
        home?.release()
      }
    },

    /** What an earlier incarnation left unfinished. */
    async findUnfinished(): Promise<DueWork[]> {
      const found: DueWork[] = []
      for (;;) {
        const page = await listDueWork(control, now(), PAGE, found.length)
        found.push(...page)
        if (page.length < PAGE) return found
      }
    },

    /** Goes on with it: executions run again, planning is marked as interrupted. */
    async recover(unfinished: readonly DueWork[]): Promise<void> {
      if (unfinished.length > 0) log.info({ found: unfinished.length }, 'recovering unfinished work')
      for (const work of unfinished) {
        if (work.kind === 'execution') queue.push({ tenantId: work.tenantId, executionId: work.subjectId })
        else await interruptPlanning(work)
      }
    },
  }

  async function interruptPlanning({ tenantId, kind, subjectId }: DueWork): Promise<void> {
    try {
      const home = await homes.pin(tenantId)
      if (!home) return directoryOf(control, tenantId).removeDueWork(kind, subjectId)
      await desiOf(tenantId, home.db).dags.interrupt(subjectId).finally(home.release)
    } catch (error) {
      log.error({ err: error, tenantId, dagId: subjectId }, 'a DAG could not be marked as interrupted')
    }
  }
}
