import type { CommitWith } from '#kit/context.ts'
import { lockWholeTenant } from '#kit/db/lock-tenant.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { transaction } from '#kit/db/transaction.ts'
import type { dagsOf } from './dags.ts'
import { ScheduleNotFound } from './errors.ts'
import { executionsOf } from './executions.ts'
import type { RunningExecutions } from './executor/running.ts'
import type { DesiAgentParts } from './parts.ts'
import { changedSchedule } from './schedules/change-schedule.ts'
import { noteMoments } from './schedules/come-up.ts'
import { assertComesUp, describeCron } from './schedules/cron.ts'
import { keepIndexed } from './schedules/due-index.ts'
import { fireSchedule } from './schedules/fire.ts'
import { indexAll } from './schedules/index-all.ts'
import { momentsAfter, toRun } from './schedules/moments.ts'
import { assertCanBegin, draftSchedule } from './schedules/new-schedule.ts'
import { assertRoom } from './schedules/room.ts'
import type {
  NewSchedule,
  Occurrence,
  OccurrenceStatus,
  Schedule,
  ScheduledRun,
  ScheduleFilter,
  SchedulePatch,
} from './schedules/schedule.ts'
import { listOccurrences } from './store/occurrences.ts'
import * as store from './store/schedules.ts'

/** Schedules whose occurrences a process is beginning now. Its leases bear one name, so they do not tell two calls in it apart. */
const IN_HAND = new WeakMap<RunningExecutions, Set<string>>()

export interface SchedulePreview {
  scheduleDescription: string
  timezone: string
  runs: ScheduledRun[]
}

/** When DAGs and goals are executed by themselves, and what became of each such moment. */
export function schedulesOf(parts: DesiAgentParts, dags: ReturnType<typeof dagsOf>) {
  const { db, shared } = parts
  const firing = { parts, dags, executions: executionsOf(parts) }
  const inHand = IN_HAND.get(shared.running) ?? new Set()
  IN_HAND.set(shared.running, inHand)

  return {
    list: (filter: ScheduleFilter, page: PageRequest): Promise<Page<Schedule>> => store.listSchedules(db, filter, page),

    /** @throws ScheduleNotFound */
    async get(id: string): Promise<Schedule> {
      const schedule = await store.findSchedule(db, id)
      if (!schedule) throw new ScheduleNotFound()
      return schedule
    },

    /** @throws DagNotFound, AgentNotFound, ProviderNotConfigured, ScheduleInvalid, TooManySchedules */
    async create(input: NewSchedule, commitWith: CommitWith = async () => {}): Promise<Schedule> {
      const schedule = draftSchedule(input, shared)
      await keepIndexed(parts, schedule.id, () =>
        transaction(db, async (tx) => {
          await lockWholeTenant(tx)
          await assertRoom(tx)
          await assertCanBegin(tx, shared.models, schedule)
          await store.insertSchedule(tx, schedule)
          await commitWith(tx, schedule.id)
        }),
      )
      return schedule
    },

    /** What has come up stays to be begun. @throws ScheduleNotFound, AgentNotFound, ProviderNotConfigured, ScheduleInvalid */
    async update(id: string, patch: SchedulePatch): Promise<Schedule> {
      await this.get(id)
      return keepIndexed(parts, id, () =>
        transaction(db, async (tx) => {
          const before = await store.lockSchedule(tx, id)
          if (!before) throw new ScheduleNotFound()
          const after = await changedSchedule(tx, before, patch, shared)
          if (patch.goal !== undefined || patch.limits !== undefined) await assertCanBegin(tx, shared.models, after)
          await store.updateSchedule(tx, after)
          return after
        }),
      )
    },

    /** Deletes it with its occurrences; executions it began stay. @throws ScheduleNotFound */
    async remove(id: string): Promise<void> {
      if (!(await store.deleteSchedule(db, id))) throw new ScheduleNotFound()
      await parts.directory.removeDueWork('schedule', id)
    },

    /** When it comes up next, or would if it were active. @throws ScheduleNotFound */
    async nextRuns(id: string, count: number): Promise<ScheduledRun[]> {
      const { cronSchedule, timezone } = await this.get(id)
      return runsAfter(cronSchedule, timezone, shared.now(), count)
    },

    /** Says when a schedule would come up; keeps nothing. @throws ScheduleInvalid */
    preview(cronSchedule: string, timezone: string, after: Date, count: number): SchedulePreview {
      assertComesUp(cronSchedule, timezone)
      const runs = runsAfter(cronSchedule, timezone, after, count)
      return { scheduleDescription: describeCron(cronSchedule), timezone, runs }
    },

    /** What became of its moments, newest first. @throws ScheduleNotFound */
    async occurrences(id: string, status: OccurrenceStatus | undefined, page: PageRequest): Promise<Page<Occurrence>> {
      await this.get(id)
      return listOccurrences(db, id, status, page)
    },

    /** Writes down what has come up, soon after; `fire` begins it when there is room. */
    note: (id: string): Promise<void> => noteMoments(parts, id),

    /**
     * Does everything that is due for a schedule and says when to come again. May take minutes, when a goal is planned;
     * call it again meanwhile, so that what comes up is not taken for missed.
     *
     * @throws what nobody expected; it stays due
     */
    async fire(id: string): Promise<void> {
      if (shared.running.isDraining) return
      const key = `${parts.tenantId}/${id}`
      const isAtIt = inHand.has(key)
      inHand.add(key)
      try {
        // As one planning, so that whoever drains the process waits for the rows of what it interrupts.
        await shared.running.plan(() => fireSchedule(firing, id, isAtIt))
      } finally {
        if (!isAtIt) inHand.delete(key)
      }
    },

    /** Gives schedules that have none yet their next moment. Called once for each tenant, by its due work. */
    index: (): Promise<void> => indexAll(parts),
  }
}

function runsAfter(cronSchedule: string, timezone: string, after: Date, count: number): ScheduledRun[] {
  const runs: ScheduledRun[] = []
  for (const moment of momentsAfter(cronSchedule, timezone, after.getTime())) {
    runs.push(toRun(timezone, moment))
    if (runs.length >= count) break
  }
  return runs
}
