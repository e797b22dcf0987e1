/** Wakes a worker for a piece of work. The rows are the truth: a lost wake-up is found again through `due_work`. */
export interface WorkQueue<Job> {
  push(job: Job): void
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
