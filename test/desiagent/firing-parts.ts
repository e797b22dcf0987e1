import { RunningExecutions } from '#desiagent/executor/running.ts'
import { createDesiAgent, type DesiAgent, type DesiAgentParts } from '#desiagent/index.ts'
import type { Occurrence } from '#desiagent/schedules/schedule.ts'
import type { TenantDb } from '#kit/db/tenant-tables.ts'
import { addMilliseconds } from '#kit/time.ts'
import type { Directory, DueWorkKind } from '#ports/directory.ts'
import { planOf } from '#test/support/plans.ts'
import { HeldClock } from '../features/http/held-clock.ts'
import { embeddedParts } from './embedded-parts.ts'

export const MINUTE_MS = 60_000
/** As long as whoever claims due work has for it before it comes up again. */
const CLAIMED_MS = 30_000
const FIRST_PAGE = { limit: 100, offset: 0, cursor: null, includeTotal: false }

/** The index of due work, in memory. Writing to it takes as long as a test wants. */
export class HeldIndex {
  readonly rows = new Map<string, string>()
  latencyMs: () => number = () => 0

  readonly directory: Directory = {
    registerKey: async () => {},
    removeKey: async () => {},
    putDueWork: async (kind, id, dueAt) => {
      await this.#wait()
      this.rows.set(`${kind} ${id}`, dueAt)
    },
    removeDueWork: async (kind, id) => {
      await this.#wait()
      this.rows.delete(`${kind} ${id}`)
    },
  }

  async #wait(): Promise<void> {
    const ms = this.latencyMs()
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms))
  }

  /** What is due, claimed as a process claims it. */
  claim(kind: DueWorkKind, now: Date): string[] {
    const isDue = ([key, dueAt]: [string, string]) => key.startsWith(`${kind} `) && dueAt <= now.toISOString()
    const keys = [...this.rows].filter(isDue).map(([key]) => key)
    for (const key of keys) this.rows.set(key, addMilliseconds(now, CLAIMED_MS).toISOString())
    return keys.map((key) => key.slice(kind.length + 1))
  }
}

/** A tenant's database, index and clock, which processes share. */
export class Shared {
  readonly clock = new HeldClock()
  readonly index = new HeldIndex()
  readonly #parts: DesiAgentParts

  private constructor(parts: DesiAgentParts) {
    this.#parts = parts
  }

  static async open(): Promise<Shared> {
    return new Shared(await embeddedParts())
  }

  get db(): TenantDb {
    return this.#parts.db
  }

  /** One more process on it. @param isSole  it takes everybody else for dead */
  process(name: string, more: Partial<DesiAgentParts> = {}, isSole = false, shared: object = {}): DesiAgent {
    return createDesiAgent({
      ...this.#parts,
      directory: this.index.directory,
      ...more,
      shared: {
        ...this.#parts.shared,
        settings: { ...this.#parts.shared.settings, isSoleProcess: isSole },
        now: this.clock.now,
        running: new RunningExecutions(name),
        ...shared,
      },
    })
  }

  /** Does what is due, as the jobs of a process do. */
  async doDueWork(desi: DesiAgent): Promise<void> {
    for (const id of this.index.claim('planning', this.clock.now())) await desi.dags.interrupt(id)
    for (const id of this.index.claim('schedule', this.clock.now())) await desi.schedules.fire(id)
  }

  /** A DAG with a plan of one step. */
  async dag(desi: DesiAgent): Promise<string> {
    const { dagId, executionId } = await desi.dags.executeDefinition({ definition: planOf([{ id: '1' }]) })
    await desi.executions.cancel(executionId)
    return dagId
  }

  /** Oldest first. */
  async occurrences(desi: DesiAgent, scheduleId: string): Promise<Occurrence[]> {
    return (await desi.schedules.occurrences(scheduleId, undefined, FIRST_PAGE)).rows.toReversed()
  }

  async executionIds(desi: DesiAgent, scheduleId: string): Promise<string[]> {
    return (await desi.executions.list({ scheduleId }, FIRST_PAGE)).rows.map(({ id }) => id)
  }
}
