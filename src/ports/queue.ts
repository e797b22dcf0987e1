/** Wakes a worker for an execution. The rows are the truth: a lost wake-up is found again through `due_work`. */
export interface ExecutionQueue {
  push(job: ExecutionJob): void
}

export interface ExecutionJob {
  tenantId: string
  executionId: string
}
