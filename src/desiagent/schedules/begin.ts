import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { transaction } from '#kit/db/transaction.ts'
import { ProductError } from '#kit/errors.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { Dag } from '../dag.ts'
import type { dagsOf } from '../dags.ts'
import type { DesiAgentParts } from '../parts.ts'
import { INTERRUPTED } from '../planner/plan-dag.ts'
import { findDag } from '../store/dags.ts'
import { renewLease } from '../store/leases.ts'
import {
  changeOccurrence,
  type OccurrenceChange,
  type OpenOccurrence,
  putBackOccurrence,
} from '../store/occurrences.ts'
import { setLastRun } from '../store/schedules.ts'
import { noteMoments } from './come-up.ts'
import type { Schedule, ScheduledGoal } from './schedule.ts'

/** What `metering` refuses with when the tenant is suspended. */
const TENANT_SUSPENDED = 'tenant_suspended'

/** Somebody else has the occurrence by now, or it is gone with its schedule: nothing may be begun for it here. */
class OccurrenceLost extends Error {
  constructor() {
    super('the occurrence is no longer begun by this process')
    this.name = 'OccurrenceLost'
  }
}

/** An occurrence this process has claimed, and what it takes to begin it. */
export interface Beginning {
  parts: DesiAgentParts
  dags: ReturnType<typeof dagsOf>
  schedule: Schedule
  occurrence: OpenOccurrence
}

/**
 * Begins the execution of an occurrence: it and the word that the occurrence has started are committed together. What
 * stands in the way is written down with the occurrence instead.
 *
 * @throws what nobody expected; the occurrence keeps its lease, and is begun again when that has run out
 */
export async function beginOccurrence(beginning: Beginning): Promise<void> {
  const { schedule } = beginning
  const stopAttending = attend(beginning)
  try {
    if (schedule.goal) await beginGoal(beginning, schedule.goal)
    else await beginDag(beginning, schedule.dagId as string)
  } catch (error) {
    if (!(error instanceof OccurrenceLost)) throw error
  } finally {
    stopAttending()
  }
}

async function beginDag(beginning: Beginning, dagId: string): Promise<void> {
  const { parts, dags } = beginning
  try {
    await dags.execute(dagId, optionsOf(beginning), (tx, executionId) => start(tx, beginning, dagId, executionId))
  } catch (error) {
    if (!(error instanceof ProductError)) throw error
    await end(parts.db, beginning, refusedBy(error, dagId))
  }
}

/** Plans the goal, which may take minutes; the execution is begun in the transaction that ends planning. */
async function beginGoal(beginning: Beginning, goal: ScheduledGoal): Promise<void> {
  const { parts, dags } = beginning
  let dagId: string | null = null
  try {
    const { dag, executionId } = await dags.createAndExecute(
      { ...goal, ...optionsOf(beginning) },
      async (tx, plannedId) => {
        dagId = plannedId
        const planned = await findDag(tx, plannedId)
        if (planned && planned.status !== 'success') await end(tx, beginning, notPlanned(planned))
      },
      (tx, begunId) => start(tx, beginning, dagId as string, begunId),
    )
    if (executionId === null && dag.status === 'failed') await endAsUnplanned(beginning, dag)
  } catch (error) {
    if (!(error instanceof ProductError)) throw error
    await end(parts.db, beginning, refusedBy(error, dagId))
  }
}

function optionsOf({ schedule }: Beginning) {
  return { createdBy: schedule.createdBy, limits: schedule.limits, scheduleId: schedule.id }
}

/** @throws OccurrenceLost, so that the execution is not begun either */
async function start(tx: TenantDb, beginning: Beginning, dagId: string, executionId: string): Promise<void> {
  const { parts, schedule } = beginning
  await setLastRun(tx, schedule.id, parts.shared.now().toISOString()) // before the occurrence: as all who lock both
  const isOurs = await change(tx, beginning, { status: 'started', reason: null, dagId, executionId })
  if (!isOurs) throw new OccurrenceLost()
}

/** Somebody else's by now: then they say how it ended. */
async function end(db: TenantDb, beginning: Beginning, how: OccurrenceChange): Promise<void> {
  await transaction(db, (tx) => change(tx, beginning, how))
}

function change(tx: TenantDb, { parts, occurrence }: Beginning, how: OccurrenceChange): Promise<boolean> {
  const { running, now } = parts.shared
  return changeOccurrence(tx, occurrence.id, running.owner, how, now().toISOString())
}

/** The provider was out of reach; or the process goes down, and the next one plans the goal again. */
async function endAsUnplanned(beginning: Beginning, dag: Dag): Promise<void> {
  const { parts, occurrence } = beginning
  const { running } = parts.shared
  if (dag.error?.code !== INTERRUPTED.code) return end(parts.db, beginning, notPlanned(dag))
  await putBackOccurrence(parts.db, occurrence.id, running.owner, !running.isDraining)
}

function notPlanned({ id, status, clarificationQuery, error }: Dag): OccurrenceChange {
  const reason =
    status === 'clarification_required'
      ? { code: status, message: `The planner asks: ${clarificationQuery ?? ''}` }
      : { code: error?.code ?? 'planning_failed', message: error?.message ?? 'The goal could not be planned.' }
  return { status: 'failed', reason, dagId: id }
}

function refusedBy({ code, message }: ProductError, dagId: string | null): OccurrenceChange {
  return { status: code === TENANT_SUSPENDED ? 'skipped' : 'failed', reason: { code, message }, dagId }
}

/**
 * As long as it is being begun nobody else may begin it, and what comes up meanwhile is not taken for missed.
 *
 * @returns what ends that
 */
function attend({ parts, schedule, occurrence }: Beginning): () => void {
  const { db, shared } = parts
  const warn = (message: string) => (err: unknown) =>
    shared.log.warn({ err, tenantId: parts.tenantId, scheduleId: schedule.id }, message)
  const renewal = setInterval(() => {
    const until = addMilliseconds(shared.now(), shared.settings.leaseMs).toISOString()
    renewLease(db, 'schedule_occurrences', occurrence.id, shared.running.owner, until).catch(
      warn('could not renew a lease'),
    )
    noteMoments(parts, schedule.id).catch(warn('could not write down what has come up'))
  }, shared.settings.leaseMs / 3)
  return () => clearInterval(renewal)
}
