/** Wakes a worker for a piece of work. The rows are the truth: a lost wake-up is found again through `due_work`. */
export interface WorkQueue<Job> {
  /**
   * Puts a job in; one that waits already waits once. One that is running is run again when that has ended.
   *
   * @param how.isYielded  it gives its place to another tenant (`Turns`) and waits before the rest of its own
   */
  push(job: Job, how?: { isYielded: boolean }): void
}

export interface ExecutionJob {
  tenantId: string
  executionId: string
}
export type ExecutionQueue = WorkQueue<ExecutionJob>

export interface ExperimentJob {
  tenantId: string
  experimentId: string
}
export type ExperimentQueue = WorkQueue<ExperimentJob>

export interface ScheduleJob {
  tenantId: string
  scheduleId: string
}
export type ScheduleQueue = WorkQueue<ScheduleJob>

/** Shares the places of a process among its tenants. */
export interface Turns {
  /**
   * Asked between two sub-steps, once one has ended in this turn: else two could hand a place to and fro for ever. True:
   * another tenant waits and has fewer places, so this execution is to give its own back as soon as its sub-steps in
   * flight have ended. Whoever is told true does so, and asks no more: each answer is counted on.
   */
  isPlaceWanted(tenantId: string): boolean
}
