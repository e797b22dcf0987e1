import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { resolveAgent } from '../agents.ts'
import { DagNotFound } from '../errors.ts'
import { assertPricedForGoal, assertPricedForPlan } from '../limits/priced.ts'
import { limitsOrNull } from '../limits.ts'
import type { Models } from '../models/registry.ts'
import type { SharedParts } from '../parts.ts'
import { findDag } from '../store/dags.ts'
import { assertComesUp, nextMoment, scheduleInvalid } from './cron.ts'
import type { NewSchedule, Schedule } from './schedule.ts'

/** A schedule that is about to be written. @throws ScheduleInvalid */
export function draftSchedule(input: NewSchedule, { now, newId }: SharedParts): Schedule {
  const { cronSchedule, timezone = 'UTC', scheduleActive = true } = input
  assertComesUp(cronSchedule, timezone)
  const at = now()
  return {
    id: newId(),
    dagId: input.dagId ?? null,
    isOfDag: false,
    goal: input.goal ?? null,
    cronSchedule,
    timezone,
    scheduleActive,
    overlapPolicy: input.overlapPolicy ?? 'skip',
    missedRunPolicy: input.missedRunPolicy ?? 'once',
    maxMissedRuns: input.maxMissedRuns ?? 10,
    limits: limitsOrNull(input.limits ?? undefined),
    nextRunAt: scheduleActive ? nextMoment(cronSchedule, timezone, at) : null,
    lastRunAt: null,
    createdBy: input.createdBy ?? null,
    createdAt: at.toISOString(),
    updatedAt: at.toISOString(),
  }
}

/**
 * Refuses what could never begin an execution, as things are now.
 *
 * @throws DagNotFound, AgentNotFound, ProviderNotConfigured, ScheduleInvalid
 */
export async function assertCanBegin(tx: TenantDb, models: Models, { dagId, goal, limits }: Schedule): Promise<void> {
  if (goal) {
    const planner = await resolveAgent(tx, goal.agentName ?? 'planner')
    for (const agent of [planner, await resolveAgent(tx, 'titler')]) models.resolve(goal, agent)
    return assertPricedForGoal(tx, models, { limits, params: goal }, planner.name)
  }
  const dag = await findDag(tx, dagId as string)
  if (!dag) throw new DagNotFound()
  if (dag.plan) await assertPricedForPlan(tx, models, { limits, params: dag.params }, dag.plan)
  if (dag.status !== 'success') throw scheduleInvalid('dagId', 'This DAG has no plan that can be executed.')
}
