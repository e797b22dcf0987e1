import type { DesiAgent } from '#desiagent/index.ts'
import type { ClosedMonth, MonthToClose } from '#features/billing/invoices/operations.ts'
import { TenantNotFound } from '#features/identity/tenants/errors.ts'
import { finishChange } from '#features/identity/tenants/service.ts'
import type { EndedInvitations } from '#features/identity/users/operations.ts'
import { boundsOf, nextInvoiceDue } from '#kit/billing-period.ts'
import type { TenantOperations } from '#kit/context.ts'
import type { ControlDb } from '#kit/db/control-tables.ts'
import { NoTenantDatabase } from '#kit/db/databases.ts'
import type { DueWork } from '#kit/db/directory.ts'
import type { TenantHomes } from '#kit/db/tenant-homes.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Clock } from '#kit/time.ts'
import type { Directory, DueWorkKind } from '#ports/directory.ts'
import type { ScheduleQueue } from '#ports/queue.ts'

export interface DueWorkParts {
  control: ControlDb
  homes: TenantHomes
  tenants: TenantOperations
  desiOf(tenantId: string, db: TenantDb): DesiAgent
  scheduleQueue: ScheduleQueue
  now: Clock
}

/** Takes the row away or sets its new time when it is done. Doing it twice does no harm. */
export type DueWorkHandler = (work: DueWork, directory: Directory) => Promise<void>

/** Executions and experiments wait for a worker of their own, who sees to their rows. */
export type HandledKind = Exclude<DueWorkKind, 'execution' | 'experiment'>

/** What is done with due work. A handler that rejects leaves its row, which then comes up again. */
export function dueWorkHandlers(parts: DueWorkParts): Record<HandledKind, DueWorkHandler> {
  const { control, homes, tenants, desiOf, scheduleQueue, now } = parts

  return {
    planning: inTenant((desi, dagId) => desi.dags.interrupt(dagId)),
    // Noted at once: what waits for its turn to be begun must not be taken for missed.
    schedule: async (work, directory) => {
      await inTenant((desi, scheduleId) => desi.schedules.note(scheduleId))(work, directory)
      scheduleQueue.push({ tenantId: work.tenantId, scheduleId: work.subjectId })
    },
    schedule_index: inTenant((desi) => desi.schedules.index()),
    invoice: closeMonth,
    tenant_record: finishTenantChange,
    accepted_invitation: endInvitations,
  }

  /** Does it with the tenant's desiAgent, which sees to the row; a tenant that is gone has nothing due. */
  function inTenant(act: (desi: DesiAgent, subjectId: string) => Promise<void>): DueWorkHandler {
    return async ({ tenantId, kind, subjectId }, directory) => {
      const home = await homes.pin(tenantId)
      if (!home) return directory.removeDueWork(kind, subjectId)
      try {
        await act(desiOf(tenantId, home.db), subjectId)
      } finally {
        home.release()
      }
    }
  }

  async function finishTenantChange({ tenantId, kind, subjectId }: DueWork, directory: Directory): Promise<void> {
    await finishChange({ db: control, tenants }, tenantId).catch(unlessGone)
    await directory.removeDueWork(kind, subjectId)
  }

  async function endInvitations({ tenantId, kind, subjectId }: DueWork, directory: Directory): Promise<void> {
    const ended = await tenants.run(tenantId, 'endInvitations', { at: now().toISOString() }).catch(unlessGone)
    const { tokenIds, nextEndAt } = (ended as EndedInvitations | undefined) ?? { tokenIds: [], nextEndAt: null }
    await directory.removeKey(...tokenIds)
    if (nextEndAt === null) await directory.removeDueWork(kind, subjectId)
    else await directory.putDueWork(kind, subjectId, nextEndAt)
  }

  async function closeMonth({ tenantId, kind, subjectId: period }: DueWork, directory: Directory): Promise<void> {
    const next = nextInvoiceDue(new Date(boundsOf(period).end))
    await directory.putDueWork(kind, next.period, next.at) // first: a month without its row is never billed
    const closed = await askToClose(tenantId, period)
    if (closed?.again) await directory.putDueWork(kind, period, closed.again)
    else await directory.removeDueWork(kind, period)
    if (!closed) await directory.removeDueWork(kind, next.period)
  }

  /** Null when the tenant is gone. */
  async function askToClose(tenantId: string, period: string): Promise<ClosedMonth | null> {
    const input: MonthToClose = { period, at: now().toISOString() }
    return ((await tenants.run(tenantId, 'closeMonth', input).catch(unlessGone)) as ClosedMonth | undefined) ?? null
  }
}

/** A purge has taken the tenant, or its database already. */
function unlessGone(error: unknown): void {
  if (!(error instanceof NoTenantDatabase || error instanceof TenantNotFound)) throw error
}
