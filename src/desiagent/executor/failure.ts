import { isRefusal, type ProductError } from '#kit/errors.ts'
import type { Log } from '#ports/log.ts'
import { AgentNotFound, LimitReached, ProviderNotConfigured, UnpricedModel } from '../errors.ts'
import { ModelError, type ModelErrorCode } from '../models/model.ts'
import { UnresolvedReference } from '../planner/references.ts'
import { ToolError } from '../tools/tool.ts'

/**
 * What follows from an error in a piece of work.
 * - `passing`: the same call may succeed in a moment
 * - `final`: it will fail again
 * - `curable`: a person can cure it; the execution is suspended until then
 * - `stopped`: we stopped it ourselves; nothing is wrong with it
 */
export interface Failure {
  kind: 'passing' | 'final' | 'curable' | 'stopped'
  code: string
  message: string
  retryAfterMs?: number | undefined
}

export function classify(error: unknown, stop: AbortSignal, log: Log): Failure {
  if (stop.aborted) return { kind: 'stopped', code: 'stopped', message: 'The execution was stopped.' }
  if (error instanceof ModelError) return ofModel(error)
  if (error instanceof ToolError) return ofTool(error)
  if (isCurable(error)) return { kind: 'curable', code: error.code, message: error.message }
  if (error instanceof AgentNotFound) return { kind: 'final', code: error.code, message: error.message }
  if (error instanceof UnresolvedReference)
    return { kind: 'final', code: 'unresolved_reference', message: error.message }
  log.error({ err: error }, 'unexpected error in a sub-step')
  return { kind: 'final', code: 'internal_error', message: 'Something went wrong on our side.' }
}

function isCurable(error: unknown): error is ProductError {
  const isOurs = [ProviderNotConfigured, LimitReached, UnpricedModel].some((kind) => error instanceof kind)
  return isOurs || isRefusal(error)
}

const CURABLE: ReadonlySet<ModelErrorCode> = new Set([
  'key_refused',
  'quota_exhausted',
  'tokens_exhausted',
  'limit_reached',
])

function ofModel(error: ModelError): Failure {
  const { code, message, retryAfterMs } = error
  if (CURABLE.has(code)) return { kind: 'curable', code, message }
  return { kind: error.isPassing ? 'passing' : 'final', code, message, retryAfterMs }
}

function ofTool({ code, message, isPassing }: ToolError): Failure {
  if (code === 'tool_not_configured') return { kind: 'curable', code, message }
  return { kind: isPassing ? 'passing' : 'final', code, message }
}
