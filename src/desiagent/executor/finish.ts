import { resolveAgent } from '../agents.ts'
import type { NewEvent } from '../events.ts'
import type { Execution } from '../execution.ts'
import { synthesisMessage } from '../messages.ts'
import { type CallRecord, callModel } from '../models/call.ts'
import type { ModelRequest } from '../models/model.ts'
import type { DesiAgentParts } from '../parts.ts'
import type { SubStep } from '../store/sub-steps.ts'
import { attempt } from './attempts.ts'
import { forgetDueRow } from './due-row.ts'
import type { Failure } from './failure.ts'
import type { Run } from './run.ts'
import { ledger } from './run-step.ts'

/**
 * Ends an execution whose steps have come to rest: suspended when a person must cure something, failed when nothing
 * completed, else with a synthesis as completed or partial.
 */
export async function finish(run: Run, cure: Failure | null): Promise<void> {
  if (cure) await suspend(run, cure)
  else if (run.steps.every(({ status }) => status !== 'completed')) await endAsFailed(run)
  else await synthesise(run)
}

/** Of an execution that comes to rest: whoever wanted it to pause has what they wanted. */
const RELEASED = { isLeaseReleased: true, isPauseTakenBack: true }

async function synthesise(run: Run): Promise<void> {
  const { settings, log, now } = run.parts.shared
  const startedAt = now().getTime()
  await run.journal.commit({ events: [{ type: 'execution:synthesis_started', data: {} }] })

  let calls: CallRecord[] = []
  let attempts = 0
  const noteRetry = async () => {
    await run.journal.commit({ events: [], ...bookingOf(run, calls) })
    calls = []
  }
  const askOnce = () => {
    attempts += 1
    return ask(run, calls, attempts)
  }
  const attempted = await attempt(settings, run.stop, log, askOnce, noteRetry)
  const booking = bookingOf(run, calls)
  if (attempted.ok) {
    await complete(run, attempted.value, booking, now().getTime() - startedAt)
    return
  }
  // The steps are done and paid for; only the last call is missing, and `resume` makes it again.
  await run.journal.commit({ events: [], ...booking })
  if (attempted.failure.kind !== 'stopped') await suspend(run, attempted.failure)
}

/** Pauses between calls are not charged. */
function bookingOf(run: Run, calls: readonly CallRecord[]) {
  const computeMs = calls.reduce((sum, { durationMs }) => sum + durationMs, 0)
  return { calls: ledger(run, 'synthesis', null, calls), computeMs }
}

async function ask(run: Run, calls: CallRecord[], attemptNumber: number): Promise<string> {
  const { parts, params, execution } = run
  const { models, settings, liveAnswers } = parts.shared
  const agent = await resolveAgent(parts.db, 'synthesizer')
  const speaker = liveAnswers.begin(execution.id, null, attemptNumber)
  const request: ModelRequest = {
    task: 'synthesis',
    agentName: agent.name,
    instructions: agent.systemPrompt,
    messages: [synthesisMessage(briefOf(run))],
    temperature: params.temperature ?? agent.constraints?.temperature,
    topP: agent.constraints?.topP,
    maxTokens: params.maxTokens ?? agent.constraints?.maxTokens,
    seed: params.seed,
    idempotencyKey: `${execution.id}/synthesis/${execution.retryCount}`,
    signal: run.stop,
    onText: speaker.say,
  }
  const timeoutMs = agent.constraints?.timeoutMs ?? settings.stepTimeoutMs
  const model = models.resolve(params, agent)
  const outcome = await callModel(parts.shared, model, request, timeoutMs, run.askLeave).finally(speaker.end)
  calls.push(outcome.call)
  if (!outcome.ok) throw outcome.error
  if (!outcome.answer.isComplete) await run.journal.commit({ events: [CUT] })
  return outcome.answer.text
}

const CUT: NewEvent = {
  type: 'execution:synthesis_progress',
  data: { message: 'The model stopped before its answer was complete.' },
}

function briefOf({ execution, synthesisPlan, steps }: Run) {
  const needed = new Set(steps.flatMap(({ dependencies }) => dependencies))
  const isCompleted = ({ status }: SubStep) => status === 'completed'
  return {
    goalText: execution.originalRequest,
    synthesisPlan,
    results: steps
      .filter(isCompleted)
      .map(({ taskId, description, result }) => ({ taskId, description, result, isFinal: !needed.has(taskId) })),
    missing: steps
      .filter((step) => !isCompleted(step))
      .map(({ taskId, description, error }) => ({ taskId, description, reason: error?.message ?? 'It was not run.' })),
  }
}

async function complete(
  run: Run,
  text: string,
  booking: ReturnType<typeof bookingOf>,
  synthesisMs: number,
): Promise<void> {
  const completedTasks = run.steps.filter(({ status }) => status === 'completed').length
  const failedTasks = run.steps.filter(({ status }) => status === 'failed').length
  const status = completedTasks === run.steps.length ? 'completed' : 'partial'
  const { completedAt, durationMs } = endOf(run)
  await run.journal.commit({
    execution: { status, finalResult: text, synthesisResult: text, completedAt, durationMs, ...RELEASED },
    events: [
      { type: 'execution:synthesis_completed', data: { durationMs: synthesisMs } },
      { type: 'execution:completed', data: { status, completedTasks, failedTasks, durationMs } },
    ],
    ...booking,
  })
  await comeToRest(run.parts, run.execution)
}

async function endAsFailed(run: Run): Promise<void> {
  const failed = run.steps.filter(({ status }) => status === 'failed')
  const error = failed[0]?.error ?? { message: 'No task completed.' }
  const { completedAt, durationMs } = endOf(run)
  const event: NewEvent = { type: 'execution:failed', data: { completedTasks: 0, failedTasks: failed.length }, error }
  await run.journal.commit({
    execution: { status: 'failed', completedAt, durationMs, ...RELEASED },
    events: [event],
  })
  await comeToRest(run.parts, run.execution)
}

/** Parks the execution until somebody has cured the reason and resumes it. */
export async function suspend(run: Run, { code, message }: Pick<Failure, 'code' | 'message'>): Promise<void> {
  const suspendedAt = run.parts.shared.now().toISOString()
  await run.journal.commit({
    execution: { status: 'suspended', suspendedReason: `${code}: ${message}`, suspendedAt, ...RELEASED },
    events: [{ type: 'execution:suspended', data: {}, error: { message, code } }],
  })
  await comeToRest(run.parts, run.execution)
}

function endOf(run: Run): { completedAt: string; durationMs: number } {
  const now = run.parts.shared.now()
  const durationMs = now.getTime() - Date.parse(run.execution.startedAt ?? now.toISOString())
  return { completedAt: now.toISOString(), durationMs }
}

/** Nobody has to look at it any more, but whoever waited for it may go on: its schedule may have another one waiting. */
export async function comeToRest(
  parts: DesiAgentParts,
  { id, scheduleId }: Pick<Execution, 'id' | 'scheduleId'>,
): Promise<void> {
  const { directory, shared } = parts
  if (scheduleId !== null) await directory.putDueWork('schedule', scheduleId, shared.now().toISOString())
  await forgetDueRow(parts, id)
}
