import { z } from 'zod'
import { defineError } from '#kit/errors.ts'

export const AgentNotFound = defineError({
  code: 'agent_not_found',
  kind: 'not_found',
  message: 'There is no such agent.',
})

export const AgentVersionTaken = defineError({
  code: 'agent_version_taken',
  kind: 'conflict',
  message: 'There already is an agent with this name and version.',
  details: z.object({ name: z.string(), version: z.string() }),
})

export const AgentActive = defineError({
  code: 'agent_active',
  kind: 'conflict',
  message: 'The active version of an agent can be neither deleted nor renamed. Activate another version first.',
})

export const UnknownTools = defineError({
  code: 'unknown_tools',
  kind: 'unprocessable',
  message: 'These tools do not exist.',
  details: z.object({ tools: z.array(z.string()) }),
})

export const DagNotFound = defineError({ code: 'dag_not_found', kind: 'not_found', message: 'There is no such DAG.' })

export const DagHasExecutions = defineError({
  code: 'dag_has_executions',
  kind: 'conflict',
  message: 'A DAG with executions cannot be deleted. Delete its executions first.',
  details: z.object({ executionCount: z.int() }),
})

export const DagNotExecutable = defineError({
  code: 'dag_not_executable',
  kind: 'conflict',
  message: 'This DAG has no plan that can be executed.',
  details: z.object({ status: z.string() }),
})

export const DagIsPlanning = defineError({
  code: 'dag_is_planning',
  kind: 'conflict',
  message: 'This DAG is still being planned.',
})

export const ClarificationNotAwaited = defineError({
  code: 'clarification_not_awaited',
  kind: 'conflict',
  message: 'This DAG is not waiting for an answer.',
  details: z.object({ status: z.string() }),
})

export const PlanInvalid = defineError({
  code: 'plan_invalid',
  kind: 'unprocessable',
  message: 'The plan cannot be executed as it is.',
  details: z.object({ dagId: z.uuid().optional(), problems: z.array(z.string()) }),
})

export const PlanningFailed = defineError({
  code: 'planning_failed',
  kind: 'upstream',
  message: 'The goal could not be planned.',
  details: z.object({ dagId: z.uuid(), reason: z.string() }),
})

export const ProviderNotConfigured = defineError({
  code: 'provider_not_configured',
  kind: 'unprocessable',
  message: 'This model provider is not configured on the server.',
  details: z.object({ provider: z.string(), configured: z.array(z.string()) }),
})

export const ScheduleInvalid = defineError({
  code: 'schedule_invalid',
  kind: 'unprocessable',
  message: 'This is no schedule that can be kept.',
  details: z.object({ field: z.enum(['cronSchedule', 'timezone', 'scheduleActive', 'dagId']), reason: z.string() }),
})

export const ExperimentNotFound = defineError({
  code: 'experiment_not_found',
  kind: 'not_found',
  message: 'There is no such experiment.',
})

export const ExecutionNotFound = defineError({
  code: 'execution_not_found',
  kind: 'not_found',
  message: 'There is no such execution.',
})

export const ExecutionNotResumable = defineError({
  code: 'execution_not_resumable',
  kind: 'conflict',
  message: 'Only paused, suspended, partial and failed executions can be resumed.',
  details: z.object({ status: z.string() }),
})

export const ExecutionNotPausable = defineError({
  code: 'execution_not_pausable',
  kind: 'conflict',
  message: 'Only executions that wait for their turn or run can be paused.',
  details: z.object({ status: z.string() }),
})

export const SubStepNotFound = defineError({
  code: 'sub_step_not_found',
  kind: 'not_found',
  message: 'There is no such sub-step.',
})

export const SubStepNotRetryable = defineError({
  code: 'sub_step_not_retryable',
  kind: 'conflict',
  message: 'Only a completed or failed sub-step of an execution that rests can be retried.',
  details: z.object({ executionStatus: z.string(), subStepStatus: z.string() }),
})

export const UnpricedModel = defineError({
  code: 'unpriced_model',
  kind: 'unprocessable',
  message: 'The price of this model is not known, so maxCostUsdMicros cannot be kept.',
  details: z.object({ provider: z.string(), model: z.string() }),
})

export const LimitReached = defineError({
  code: 'limit_reached',
  kind: 'unprocessable',
  message: 'A limit of this execution leaves too little to go on.',
  details: z.object({
    limit: z.enum(['maxCostUsdMicros', 'maxTokens', 'maxSteps', 'maxWallMs']),
    value: z.int(),
    used: z.int(),
  }),
})

export const ScheduleNotFound = defineError({
  code: 'schedule_not_found',
  kind: 'not_found',
  message: 'There is no such schedule.',
})

export const TooManySchedules = defineError({
  code: 'too_many_schedules',
  kind: 'conflict',
  message: 'This tenant has as many schedules as it may have.',
  details: z.object({ limit: z.int() }),
})

export const ExecutionEnded = defineError({
  code: 'execution_ended',
  kind: 'conflict',
  message: 'This execution has ended.',
  details: z.object({ status: z.string() }),
})

export const ExecutionActive = defineError({
  code: 'execution_active',
  kind: 'conflict',
  message: 'This execution has not ended. Cancel it first.',
  details: z.object({ status: z.string() }),
})

export const ArtifactNotFound = defineError({
  code: 'artifact_not_found',
  kind: 'not_found',
  message: 'There is no such artifact.',
})

export const ToolNotFound = defineError({
  code: 'tool_not_found',
  kind: 'not_found',
  message: 'There is no such tool.',
})
