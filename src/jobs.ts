import type { DesiAgent } from '#desiagent/index.ts'
import type { ClosedMonth, MonthToClose } from '#features/billing/invoices/operations.ts'
import { TenantNotFound } from '#features/identity/tenants/errors.ts'
import { finishChange, readStanding } from '#features/identity/tenants/service.ts'
import { boundsOf, nextInvoiceDue } from '#kit/billing-period.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import { type DueWork, directoryOf, listDueWork } from '#kit/db/directory.ts'
import type { PinnedHome, TenantHomes } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { addMilliseconds, type Clock } from '#kit/time.ts'
import type { DueWorkKind } from '#ports/directory.ts'
import type { Log } from '#ports/log.ts'
import type { ExecutionJob, ExecutionQueue, ExperimentJob, ExperimentQueue } from '#ports/queue.ts'
import { TENANT_IS_SUSPENDED } from './tenant-operations.ts'

export interface JobParts {
  control: ControlDb
  homes: TenantHomes
  tenants: TenantOperations
  desiOf(tenantId: string, db: TenantDb): DesiAgent
  queue: ExecutionQueue
  experimentQueue: ExperimentQueue
  log: Log
  now: Clock
}

const PAGE = 500
/** What a process that died left half-done; all else waits for its time. */
const RECOVERED_AT_START: readonly DueWorkKind[] = ['tenant_record', 'execution', 'planning', 'experiment']
const TRY_AGAIN_AFTER_MS = 1_000
const OPEN_AGAIN_AFTER_MS = 60_000
/** What is younger may be about to be written; what waits for a cure is looked at once a tick, not sooner. */
const LEFT_ALONE_MS = 30_000

/** What a suspended tenant's request or an earlier incarnation left behind is parked with the rest of its work. */
async function runUnlessSuspended(desi: DesiAgent, db: TenantDb, executionId: string): Promise<void> {
  const { isActive } = await readStanding(db)
  if (!isActive) await desi.executions.suspendAll(TENANT_IS_SUSPENDED)
  await desi.executions.run(executionId) // of one that is suspended it only forgets that it was due
}

const isChange = ({ kind }: DueWork) => kind === 'tenant_record'

/** The work without a request. */
export function createJobs({ control, homes, tenants, desiOf, queue, experimentQueue, log, now }: JobParts) {
  return {
    /** Runs one execution to where it ends or rests. Never rejects: what failed unexpectedly is pushed again. */
    async runExecution(job: ExecutionJob): Promise<void> {
      const { tenantId, executionId } = job
      let home: PinnedHome | null = null
      try {
        home = await homes.pin(tenantId)
        if (home) await runUnlessSuspended(desiOf(tenantId, home.db), home.db, executionId)
        else await directoryOf(control, tenantId).removeDueWork('execution', executionId)
      } catch (error) {
        log.error({ err: error, tenantId, executionId }, 'an execution could not be run')
        // A database that cannot be opened is not counted like a crash of the execution, so it is not asked as often.
        setTimeout(() => queue.push(job), home ? TRY_AGAIN_AFTER_MS : OPEN_AGAIN_AFTER_MS)
      } finally {
        home?.release()
      }
    },

    /** Goes on with one experiment as far as it gets now. Never rejects: what failed stays due for the next tick. */
    async runExperiment({ tenantId, experimentId }: ExperimentJob): Promise<void> {
      try {
        const home = await homes.pin(tenantId)
        if (home) await desiOf(tenantId, home.db).experiments.run(experimentId).finally(home.release)
        else await directoryOf(control, tenantId).removeDueWork('experiment', experimentId)
      } catch (error) {
        log.error({ err: error, tenantId, experimentId }, 'an experiment could not be run')
      }
    },

    /** What an earlier incarnation left unfinished. */
    findUnfinished: (): Promise<DueWork[]> => listAllDue(RECOVERED_AT_START, now()),

    /** Goes on with it: executions and experiments run again, planning is marked as interrupted. */
    async recover(unfinished: readonly DueWork[]): Promise<void> {
      if (unfinished.length > 0) log.info({ found: unfinished.length }, 'recovering unfinished work')
      const [changes, others] = [unfinished.filter(isChange), unfinished.filter((work) => !isChange(work))]
      for (const work of changes) await finishTenantChange(work) // first: what a suspended tenant left must not begin
      for (const work of others) {
        if (work.kind === 'execution') queue.push({ tenantId: work.tenantId, executionId: work.subjectId })
        else if (work.kind === 'experiment') pushExperiment(work)
        else await interruptPlanning(work)
      }
    },

    /** Does what has become due since the last time. @param stop  ends it between two tenants */
    async tick(stop: AbortSignal): Promise<void> {
      for (const work of await listAllDue(['tenant_record'], addMilliseconds(now(), -LEFT_ALONE_MS))) {
        if (stop.aborted) return
        await finishTenantChange(work)
      }
      for (const work of await listAllDue(['experiment'], addMilliseconds(now(), -LEFT_ALONE_MS))) pushExperiment(work)
      for (const work of await listAllDue(['accepted_invitation'], now())) {
        if (stop.aborted) return
        await endInvitations(work)
      }
      for (const work of await listAllDue(['invoice'], now())) {
        if (stop.aborted) return
        await closeMonth(work)
      }
    },
  }

  /** All of it before any is done: what is done leaves the list, and a page behind it would begin too late. */
  async function listAllDue(kinds: readonly DueWorkKind[], at: Date): Promise<DueWork[]> {
    const found: DueWork[] = []
    for (;;) {
      const page = await listDueWork(control, kinds, at, PAGE, found.length)
      found.push(...page)
      if (page.length < PAGE) return found
    }
  }

  /** Never rejects: what cannot be finished stays due for the next tick. */
  async function finishTenantChange({ tenantId, kind, subjectId }: DueWork): Promise<void> {
    try {
      await finishChange({ db: control, tenants }, tenantId).catch(unlessGone)
      await directoryOf(control, tenantId).removeDueWork(kind, subjectId)
    } catch (error) {
      log.error({ err: error, tenantId }, 'a change of a tenant could not be finished')
    }
  }

  /** Never rejects: what could not be ended stays due for the next tick. */
  async function endInvitations({ tenantId, kind, subjectId }: DueWork): Promise<void> {
    const directory = directoryOf(control, tenantId)
    try {
      const ended = await tenants.run(tenantId, 'endInvitations', { at: now().toISOString() }).catch(unlessGone)
      await directory.removeKey(...((ended as string[] | undefined) ?? []))
      await directory.removeDueWork(kind, subjectId)
    } catch (error) {
      log.error({ err: error, tenantId }, 'accepted invitations could not be ended')
    }
  }

  /** Never rejects: one tenant's trouble is not the others', and its month stays due. */
  async function closeMonth({ tenantId, kind, subjectId: period }: DueWork): Promise<void> {
    const directory = directoryOf(control, tenantId)
    const next = nextInvoiceDue(new Date(boundsOf(period).end))
    try {
      await directory.putDueWork(kind, next.period, next.at) // first: a month without its row is never billed
      const closed = await askToClose(tenantId, period)
      if (closed?.again) await directory.putDueWork(kind, period, closed.again)
      else await directory.removeDueWork(kind, period)
      if (!closed) await directory.removeDueWork(kind, next.period)
    } catch (error) {
      log.error({ err: error, tenantId, period }, 'a month could not be closed')
    }
  }

  /** Null when the tenant is gone. */
  async function askToClose(tenantId: string, period: string): Promise<ClosedMonth | null> {
    const input: MonthToClose = { period, at: now().toISOString() }
    try {
      return (await tenants.run(tenantId, 'closeMonth', input)) as ClosedMonth
    } catch (error) {
      if (error instanceof NoTenantDatabase) return null
      throw error
    }
  }

  function pushExperiment({ tenantId, subjectId }: DueWork): void {
    experimentQueue.push({ tenantId, experimentId: subjectId })
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

/** A purge has taken the tenant, or its database already. */
function unlessGone(error: unknown): void {
  if (!(error instanceof NoTenantDatabase || error instanceof TenantNotFound)) throw error
}
