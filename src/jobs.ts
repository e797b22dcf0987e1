import type { DesiAgent } from '#desiagent/index.ts'
import { readStanding } from '#features/identity/tenants/service.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import { bringForward, claimDueWork, type DueWork, directoryOf, lookAgainAt } from '#kit/db/directory.ts'
import type { PinnedHome } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { DueWorkKind } from '#ports/directory.ts'
import type { Log } from '#ports/log.ts'
import type {
  ExecutionJob,
  ExecutionQueue,
  ExperimentJob,
  ExperimentQueue,
  ScheduleJob,
  ScheduleQueue,
  WorkQueue,
} from '#ports/queue.ts'
import { type DueWorkParts, dueWorkHandlers, type HandledKind } from './due-work.ts'
import { TENANT_IS_SUSPENDED } from './tenant-operations.ts'

export type HandledWork = DueWork & { kind: HandledKind }

export interface JobParts extends DueWorkParts {
  queue: ExecutionQueue
  experimentQueue: ExperimentQueue
  /** Does due work of several tenants at once, so that one's trouble is not the others'. */
  dueWorkQueue: WorkQueue<HandledWork> & {
    /** Resolves when all that was pushed has been done. */
    settled(): Promise<void>
  }
  /** Fires schedules, which may take minutes: nothing else is to wait for them. */
  scheduleQueue: ScheduleQueue
  /** No other process works on these databases: what anybody else was at when this one starts is a dead one's. */
  isSoleProcess: boolean
  /** Aborts when the process goes down. */
  stopping: AbortSignal
  log: Log
}

const AT_ONCE = 500
const TRY_AGAIN_AFTER_MS = 1_000
/**
 * What a process that died left half-done, in the order it is taken up in; all else waits for its time. Changes of
 * tenants come first: what a suspended tenant left must not begin.
 */
const RECOVERED_AT_START: readonly DueWorkKind[] = ['tenant_record', 'planning', 'execution', 'experiment']

/** What a suspended tenant's request or an earlier incarnation left behind is parked with the rest of its work. */
async function runUnlessSuspended(desi: DesiAgent, db: TenantDb, executionId: string): Promise<void> {
  const { isActive } = await readStanding(db)
  if (!isActive) await desi.executions.suspendAll(TENANT_IS_SUSPENDED)
  await desi.executions.run(executionId) // of one that is suspended it only forgets that it was due
}

/** The work without a request. */
export function createJobs(parts: JobParts) {
  const { control, homes, desiOf, queue, experimentQueue, dueWorkQueue, stopping, log, now } = parts
  const handlers = dueWorkHandlers(parts)

  return {
    /** Runs one execution to where it ends or rests. Never rejects: what failed unexpectedly comes up again. */
    async runExecution({ tenantId, executionId }: ExecutionJob): Promise<void> {
      const directory = directoryOf(control, tenantId)
      let home: PinnedHome | null = null
      try {
        home = await homes.pin(tenantId)
        if (home) await runUnlessSuspended(desiOf(tenantId, home.db), home.db, executionId)
        else await directory.removeDueWork('execution', executionId)
      } catch (error) {
        log.error({ err: error, tenantId, executionId }, 'an execution could not be run')
        // A database that cannot be opened is not counted like a crash of the execution, so it is not asked as often.
        if (home) await tryAgainSoon({ tenantId, kind: 'execution', subjectId: executionId })
      } finally {
        home?.release()
      }
    },

    /** Goes on with one experiment as far as it gets now. Never rejects: what failed comes up again. */
    async runExperiment({ tenantId, experimentId }: ExperimentJob): Promise<void> {
      try {
        const home = await homes.pin(tenantId)
        if (home) await desiOf(tenantId, home.db).experiments.run(experimentId).finally(home.release)
        else await directoryOf(control, tenantId).removeDueWork('experiment', experimentId)
      } catch (error) {
        log.error({ err: error, tenantId, experimentId }, 'an experiment could not be run')
      }
    },

    /** Begins what has come up of one schedule. Never rejects: what failed comes up again. */
    async fireSchedule({ tenantId, scheduleId }: ScheduleJob): Promise<void> {
      try {
        await homes.use(tenantId, (db) => desiOf(tenantId, db).schedules.fire(scheduleId))
      } catch (error) {
        if (error instanceof NoTenantDatabase) return // purged meanwhile, with its row
        log.error({ err: error, tenantId, scheduleId }, 'a schedule could not be fired')
      }
    },

    /** Does one piece of due work. Never rejects: what failed comes up again. */
    async doDueWork(work: HandledWork): Promise<void> {
      try {
        await handlers[work.kind](work, directoryOf(control, work.tenantId))
      } catch (error) {
        log.error({ err: error, ...work }, 'due work could not be done')
      }
    },

    /**
     * Takes up what an earlier incarnation left unfinished: executions and experiments are run again, planning is marked
     * as interrupted. Only tenants that have such work are opened.
     */
    async recover(): Promise<void> {
      if (parts.isSoleProcess) await bringForward(control, RECOVERED_AT_START, now())
      let found = 0
      for (const kind of RECOVERED_AT_START) {
        for (let taken = await take([kind]); taken > 0; taken = await take([kind])) {
          found += taken
          await dueWorkQueue.settled()
        }
      }
      if (found > 0) log.info({ found }, 'recovered unfinished work')
    },

    /** Takes what has become due and sees that it is done. Resolves when it has been taken. */
    takeDueWork: (): Promise<number> => take(),
  }

  /** @returns how many pieces were taken */
  async function take(kinds?: readonly DueWorkKind[]): Promise<number> {
    const at = now()
    for (let taken = 0; ; ) {
      if (stopping.aborted) return taken
      const works = await claimDueWork(control, at, lookAgainAt(at), AT_ONCE, kinds)
      for (const work of works) pass(work)
      taken += works.length
      if (works.length < AT_ONCE) return taken
    }
  }

  function pass({ tenantId, kind, subjectId }: DueWork): void {
    if (kind === 'execution') queue.push({ tenantId, executionId: subjectId })
    else if (kind === 'experiment') experimentQueue.push({ tenantId, experimentId: subjectId })
    else dueWorkQueue.push({ tenantId, kind, subjectId })
  }

  async function tryAgainSoon({ tenantId, kind, subjectId }: DueWork): Promise<void> {
    const at = addMilliseconds(now(), TRY_AGAIN_AFTER_MS).toISOString()
    await directoryOf(control, tenantId)
      .putDueWork(kind, subjectId, at)
      .catch((error: unknown) => log.error({ err: error, tenantId, kind, subjectId }, 'it comes up later'))
  }
}
