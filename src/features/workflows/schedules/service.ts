import { describeCron } from '#desiagent/schedules/cron.ts'
import type { ScheduledRun, Schedule as ScheduleRecord } from '#desiagent/schedules/schedule.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import type { WorkflowContext } from '../context.ts'
import type {
  CreateSchedule,
  ListOccurrencesQuery,
  ListSchedulesQuery,
  PreviewSchedule,
  Schedule,
  ScheduleOccurrence,
  SchedulePreview,
  UpdateSchedule,
} from './contract.ts'

/** @throws DagNotFound, AgentNotFound, ProviderNotConfigured, ScheduleInvalid, TooManySchedules; nothing is kept then */
export async function createSchedule(ctx: WorkflowContext, input: CreateSchedule): Promise<Schedule> {
  return present(await ctx.desi.schedules.create({ ...input, createdBy: ctx.actor.userId }, ctx.commitWith))
}

export async function listSchedules(
  ctx: WorkflowContext,
  { dagId, active }: ListSchedulesQuery,
  page: PageRequest,
): Promise<Page<Schedule>> {
  const isActive = active === undefined ? undefined : active === 'true'
  const found = await ctx.desi.schedules.list({ dagId, isActive }, page)
  return { ...found, rows: found.rows.map(present) }
}

export function previewSchedule(ctx: WorkflowContext, input: PreviewSchedule): SchedulePreview {
  const { cronSchedule, timezone = 'UTC', from, count } = input
  return ctx.desi.schedules.preview(cronSchedule, timezone, from === undefined ? ctx.now() : new Date(from), count)
}

export async function getSchedule(ctx: WorkflowContext, id: string): Promise<Schedule> {
  return present(await ctx.desi.schedules.get(id))
}

/** @throws ScheduleNotFound, AgentNotFound, ProviderNotConfigured, ScheduleInvalid; nothing is changed then */
export async function updateSchedule(ctx: WorkflowContext, id: string, input: UpdateSchedule): Promise<Schedule> {
  return present(await ctx.desi.schedules.update(id, input))
}

export function deleteSchedule(ctx: WorkflowContext, id: string): Promise<void> {
  return ctx.desi.schedules.remove(id)
}

export function listNextRuns(ctx: WorkflowContext, id: string, count: number): Promise<ScheduledRun[]> {
  return ctx.desi.schedules.nextRuns(id, count)
}

export function listOccurrences(
  ctx: WorkflowContext,
  id: string,
  { status }: ListOccurrencesQuery,
  page: PageRequest,
): Promise<Page<ScheduleOccurrence>> {
  return ctx.desi.schedules.occurrences(id, status, page)
}

function present({ isOfDag: _, ...schedule }: ScheduleRecord): Schedule {
  return { ...schedule, scheduleDescription: describeCron(schedule.cronSchedule) } as Schedule
}
