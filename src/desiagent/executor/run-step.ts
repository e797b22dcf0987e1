import type { NewEvent } from '../events.ts'
import type { CallRecord } from '../models/call.ts'
import type { CallPurpose, LedgerEntry } from '../store/model-calls.ts'
import type { SubStep } from '../store/sub-steps.ts'
import { attempt } from './attempts.ts'
import type { Failure } from './failure.ts'
import type { Run } from './run.ts'
import { perform, type Yield } from './work.ts'

/**
 * Runs one sub-step to its end and commits each change of its state with its events, calls and artifacts.
 *
 * @returns what a person must cure before the execution can go on; null when it can
 * @throws LeaseLost
 */
export async function runStep(run: Run, step: SubStep): Promise<Failure | null> {
  const { parts, journal } = run
  const { settings, log, now } = parts.shared
  const startedAt = now()
  const isFirstStart = step.startedAt === null
  await begin(run, step, startedAt, isFirstStart)

  let made = nothingYet()
  const work = async () => {
    step.attempt += 1
    made = nothingYet()
    const { yielded } = made
    const progress = (message: string) => journal.commit({ events: [progressOf(step, message)] })
    const { params, stop } = run
    const begunAt = now().getTime()
    try {
      const { askLeave } = run
      return await perform({ parts, params, step, results: run.resultsFor(step), yielded, askLeave, progress, stop })
    } finally {
      made.computeMs = now().getTime() - begunAt
    }
  }
  const onRetry = async (failure: Failure) => {
    await noteRetry(run, step, failure, made)
    made = nothingYet() // it is booked: whoever stops us in the pause that follows must not book it again
  }
  const attempted = await attempt(settings, run.stop, log, work, onRetry)

  if (attempted.ok) await complete(run, step, startedAt, attempted.value, made)
  else if (attempted.failure.kind === 'final' || attempted.failure.kind === 'passing') {
    await fail(run, step, startedAt, attempted.failure, made)
  } else {
    await interrupt(run, step, attempted.failure, made)
    return attempted.failure.kind === 'curable' ? attempted.failure : null
  }
  return null
}

/** What one attempt used and made, not booked yet. */
interface Attempt {
  yielded: Yield
  computeMs: number
}

function nothingYet(): Attempt {
  return { yielded: { calls: [], toolCalls: [], artifacts: [] }, computeMs: 0 }
}

async function begin(run: Run, step: SubStep, startedAt: Date, isFirstStart: boolean): Promise<void> {
  const at = startedAt.toISOString()
  step.status = 'running'
  step.startedAt = at
  const { taskId, actionType, toolOrPromptName, description } = step
  const started: NewEvent = {
    type: 'execution:task_started',
    data: { taskId, type: actionType, tool: toolOrPromptName, description },
  }
  await run.journal.commit({
    execution: { begun: isFirstStart ? 1 : 0 },
    step: { id: step.id, change: { status: 'running', startedAt: at } },
    events: [...run.waves.begin(step.wave, startedAt.getTime()), started],
  })
}

async function noteRetry(run: Run, step: SubStep, failure: Failure, { yielded, computeMs }: Attempt): Promise<void> {
  const message = `Attempt ${step.attempt} failed (${failure.code}): ${failure.message} Trying again.`
  await run.journal.commit({
    step: { id: step.id, change: { attempt: step.attempt, ...modelOf(yielded.calls) } },
    events: [progressOf(step, message)],
    calls: ledger(run, 'sub_step', step, yielded.calls),
    toolCalls: yielded.toolCalls,
    computeMs,
  })
}

async function complete(
  run: Run,
  step: SubStep,
  startedAt: Date,
  result: unknown,
  { yielded, computeMs }: Attempt,
): Promise<void> {
  const calls = ledger(run, 'sub_step', step, yielded.calls)
  const completedAt = run.parts.shared.now()
  const durationMs = completedAt.getTime() - startedAt.getTime()
  step.status = 'completed'
  step.result = result
  const { id, taskId, attempt: made } = step
  const change = {
    status: step.status,
    result,
    error: null,
    attempt: made,
    completedAt: completedAt.toISOString(),
    durationMs,
  }
  await run.journal.commit({
    execution: { completed: 1 },
    step: { id, change: { ...change, ...modelOf(calls) } },
    events: [
      { type: 'execution:task_completed', data: { taskId, durationMs } },
      ...run.waves.end(completedAt.getTime()),
    ],
    calls,
    toolCalls: yielded.toolCalls,
    artifacts: yielded.artifacts,
    computeMs,
  })
}

async function fail(
  run: Run,
  step: SubStep,
  startedAt: Date,
  failure: Failure,
  { yielded, computeMs }: Attempt,
): Promise<void> {
  const calls = ledger(run, 'sub_step', step, yielded.calls)
  const completedAt = run.parts.shared.now()
  const durationMs = completedAt.getTime() - startedAt.getTime()
  const error = { message: failure.message, code: failure.code }
  step.status = 'failed'
  step.error = error
  const reason = `It depends on task ${step.taskId}, which failed.`
  const skipped = run.skipDependantsOf(step, reason)
  const change = {
    status: step.status,
    error,
    attempt: step.attempt,
    completedAt: completedAt.toISOString(),
    durationMs,
  }
  await run.journal.commit({
    execution: { failed: 1, skipped: skipped.length },
    step: { id: step.id, change: { ...change, ...modelOf(calls) } },
    skipped: { stepIds: skipped.map(({ id }) => id), reason },
    events: [
      { type: 'execution:task_failed', data: { taskId: step.taskId, durationMs }, error },
      ...skipped.map(({ taskId }): NewEvent => ({ type: 'execution:task_skipped', data: { taskId, reason } })),
      ...run.waves.end(completedAt.getTime()),
    ],
    calls,
    toolCalls: yielded.toolCalls,
    computeMs,
  })
}

/** Puts the step back: it will run again, with the same idempotency key. Not in this turn, if a person has to cure something. */
async function interrupt(run: Run, step: SubStep, failure: Failure, { yielded, computeMs }: Attempt): Promise<void> {
  const error = failure.kind === 'curable' ? { message: failure.message, code: failure.code } : null
  await run.journal.commit({
    step: { id: step.id, change: { status: 'pending', error, attempt: step.attempt } },
    events: [],
    calls: ledger(run, 'sub_step', step, yielded.calls),
    toolCalls: yielded.toolCalls,
    computeMs,
  })
}

function progressOf(step: SubStep, message: string): NewEvent {
  return { type: 'execution:task_progress', data: { taskId: step.taskId, message } }
}

function modelOf(calls: readonly CallRecord[]): { provider?: string; model?: string } {
  const last = calls.at(-1)
  return last ? { provider: last.provider, model: last.model } : {}
}

export function ledger(
  run: Run,
  purpose: CallPurpose,
  step: SubStep | null,
  calls: readonly CallRecord[],
): LedgerEntry[] {
  const { execution, parts } = run
  return calls.map((call, index) => ({
    ...call,
    id: parts.shared.newId(),
    purpose,
    dagId: execution.dagId,
    executionId: execution.id,
    subStepId: step?.id ?? null,
    userId: execution.createdBy,
    attempt: step?.attempt ?? index + 1,
  }))
}
