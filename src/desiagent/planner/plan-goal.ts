import { z } from 'zod'
import { isRefusal } from '#kit/errors.ts'
import type { Agent } from '../agents.ts'
import { LimitReached } from '../errors.ts'
import { type PlanningBrief, planningMessage, problemsMessage, titleMessage } from '../messages.ts'
import { type AskLeave, type CallRecord, callModel } from '../models/call.ts'
import type { Model, ModelError, ModelRequest } from '../models/model.ts'
import { pauseBeforeRetry } from '../models/retry.ts'
import type { SharedParts } from '../parts.ts'
import { DecomposerJob } from './decomposer-job.ts'
import { parsePlan } from './parse-plan.ts'
import { type PlanScope, validatePlan } from './validate-plan.ts'

const MAX_PLANS = 3

export type AttemptReason = 'initial' | 'retry_gaps' | 'retry_parse_error' | 'retry_validation' | 'title_master'

/** One call made for planning: what it was for, what it cost, and what was wrong with it. */
export interface PlanningCall {
  attempt: number
  reason: AttemptReason
  errorMessage: string | null
  call: CallRecord
}

export type PlanningOutcome =
  | { status: 'success'; plan: DecomposerJob; title: string }
  | { status: 'clarification_required'; plan: DecomposerJob; query: string }
  | { status: 'validation_error'; problems: string[] }
  | { status: 'failed'; error: ModelError }

export interface PlanningWork {
  brief: PlanningBrief
  scope: PlanScope
  planner: { agent: Agent; model: Model }
  titler: { agent: Agent; model: Model }
  params: { temperature?: number | undefined; maxTokens?: number | undefined; seed?: number | undefined }
  /** Names this piece of work to the provider. */
  idempotencyKey: string
  askLeave: AskLeave
  /** Keeps what a call cost as soon as it is known. */
  record(planned: PlanningCall): Promise<void>
  signal: AbortSignal
}

const PLAN_OUTPUT = {
  name: 'DecomposerJob',
  schema: z.toJSONSchema(DecomposerJob, { io: 'input' }) as Record<string, unknown>,
}

/**
 * Turns a goal into a valid plan or a question. What is wrong with a plan is told to the model, which may try again:
 * three plans at most. A provider that fails for a passing reason is asked again, with pauses.
 */
export async function planGoal(work: PlanningWork, shared: SharedParts): Promise<PlanningOutcome> {
  const first = planningMessage(work.brief)
  let messages = [first]
  let reason: AttemptReason = 'initial'
  let problems: string[] = []

  for (let attempt = 1; attempt <= MAX_PLANS; attempt += 1) {
    const answered = await ask(work, shared, { attempt, reason, messages })
    if (!answered.ok) return { status: 'failed', error: answered.error }

    const verdict = judge(answered.text, work.scope)
    const gaps = verdict.ok && attempt < MAX_PLANS ? openGaps(verdict.plan) : []
    problems = verdict.ok ? gaps : verdict.problems
    await answered.record(problems.length > 0 ? problems.join('\n') : null)
    if (verdict.ok && problems.length === 0) return finish(work, shared, verdict.plan)

    reason = verdict.ok ? 'retry_gaps' : verdict.reason
    messages = [first, problemsMessage(answered.text, problems)]
  }
  return { status: 'validation_error', problems }
}

type Judgement =
  | { ok: true; plan: DecomposerJob }
  | { ok: false; reason: 'retry_parse_error' | 'retry_validation'; problems: string[] }

function judge(text: string, scope: PlanScope): Judgement {
  const candidate = parsePlan(text)
  if (candidate === undefined) {
    return { ok: false, reason: 'retry_parse_error', problems: ['The answer is not a JSON object.'] }
  }
  const verdict = validatePlan(candidate, scope)
  return verdict.ok ? verdict : { ...verdict, reason: 'retry_validation' }
}

/** What the planner itself says its plan does not cover. */
function openGaps({ validation, clarification_needed }: DecomposerJob): string[] {
  const isCovered = clarification_needed || validation.coverage.toLowerCase() === 'high'
  return isCovered ? [] : validation.gaps.map((gap) => `The plan has a gap: ${gap}`)
}

async function finish(work: PlanningWork, shared: SharedParts, plan: DecomposerJob): Promise<PlanningOutcome> {
  if (plan.clarification_needed) {
    return { status: 'clarification_required', plan, query: plan.clarification_query ?? '' }
  }
  const title = plan.title?.trim() || (await askForTitle(work, shared, plan)) || titleFromGoal(work.brief.goalText)
  return { status: 'success', plan, title: title.slice(0, 200) }
}

async function askForTitle(work: PlanningWork, shared: SharedParts, plan: DecomposerJob): Promise<string | null> {
  const { agent, model } = work.titler
  const message = titleMessage(work.brief.goalText, plan.intent.primary)
  const request: ModelRequest = {
    task: 'title',
    agentName: agent.name,
    instructions: agent.systemPrompt,
    messages: [message],
    temperature: agent.constraints?.temperature,
    maxTokens: agent.constraints?.maxTokens,
    idempotencyKey: `${work.idempotencyKey}/title`,
    signal: work.signal,
  }
  const outcome = await callModel(shared, model, request, shared.settings.stepTimeoutMs, work.askLeave).catch(
    (error: unknown) => {
      if (isRefusal(error) || error instanceof LimitReached) return null // the plan is there and paid for; a title is not worth losing it
      throw error
    },
  )
  if (!outcome) return null
  const errorMessage = outcome.ok ? null : outcome.error.message
  await work.record({ attempt: 1, reason: 'title_master', errorMessage, call: outcome.call })
  return outcome.ok ? (outcome.answer.text.trim().split('\n')[0] ?? null) : null
}

/** A DAG has a name even when nobody could be asked for one. */
export function titleFromGoal(goalText: string): string {
  const line = goalText.trim().split('\n')[0] ?? ''
  return line.length <= 60 ? line : `${line.slice(0, 59).trimEnd()}…`
}

type Answered =
  | { ok: true; text: string; record(errorMessage: string | null): Promise<void> }
  | { ok: false; error: ModelError }

async function ask(
  work: PlanningWork,
  shared: SharedParts,
  { attempt, reason, messages }: { attempt: number; reason: AttemptReason; messages: string[] },
): Promise<Answered> {
  const { agent, model } = work.planner
  const request: ModelRequest = {
    task: 'plan',
    agentName: agent.name,
    instructions: agent.systemPrompt,
    messages,
    output: PLAN_OUTPUT,
    temperature: work.params.temperature ?? agent.constraints?.temperature,
    topP: agent.constraints?.topP,
    maxTokens: work.params.maxTokens ?? agent.constraints?.maxTokens,
    seed: work.params.seed,
    idempotencyKey: `${work.idempotencyKey}/${attempt}`,
    signal: work.signal,
  }
  for (let failed = 0; ; ) {
    const timeoutMs = agent.constraints?.timeoutMs ?? shared.settings.stepTimeoutMs
    const outcome = await callModel(shared, model, request, timeoutMs, work.askLeave)
    const keep = (errorMessage: string | null) => work.record({ attempt, reason, errorMessage, call: outcome.call })
    if (outcome.ok) return { ok: true, text: outcome.answer.text, record: keep }
    await keep(outcome.error.message)
    failed += 1
    const { error } = outcome
    if (!error.isPassing || failed >= shared.settings.maxAttempts || work.signal.aborted) return { ok: false, error }
    await pauseBeforeRetry(shared.settings, failed, error.retryAfterMs, work.signal)
  }
}
