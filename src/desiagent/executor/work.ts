import { ProductError } from '#kit/errors.ts'
import { type Agent, resolveAgent } from '../agents.ts'
import type { DagParams } from '../dag.ts'
import { resultsMessage } from '../messages.ts'
import { type AskLeave, type CallRecord, callModel } from '../models/call.ts'
import { ModelError, type ModelRequest } from '../models/model.ts'
import type { DesiAgentParts } from '../parts.ts'
import { resolveReferences, sameTask } from '../planner/references.ts'
import { findArtifact, listArtifactNames, type NewArtifact } from '../store/artifacts.ts'
import type { SubStep } from '../store/sub-steps.ts'
import type { ToolCall } from '../store/tool-calls.ts'
import { findTool } from '../tools/registry.ts'
import { type ExecutionFiles, type Tool, ToolError, type ToolUse } from '../tools/tool.ts'

/** What one attempt used and made, kept until it is committed with the step's new state. */
export interface Yield {
  calls: CallRecord[]
  toolCalls: ToolCall[]
  artifacts: NewArtifact[]
}

export interface StepWork {
  parts: DesiAgentParts
  params: DagParams
  step: SubStep
  /** The results of the step's dependencies. */
  results: readonly { taskId: string; description: string; result: unknown }[]
  yielded: Yield
  askLeave: AskLeave
  progress(message: string): Promise<void>
  stop: AbortSignal
}

const MAX_RESULT_BYTES = 1_000_000
/** They are kept as they are, in one value of a row. */
const MAX_ARGUMENTS_BYTES = 1_900_000

/** Does what a sub-step says, outside any transaction. @returns its result @throws ModelError, ToolError and others */
export async function perform(work: StepWork): Promise<unknown> {
  const result = work.step.actionType === 'tool' ? await useTool(work) : await askAgent(work)
  const text = typeof result === 'string' ? result : JSON.stringify(result ?? null)
  if (new TextEncoder().encode(text).byteLength > MAX_RESULT_BYTES)
    throw new ToolError('result_too_large', `The result has more than ${MAX_RESULT_BYTES} bytes.`)
  return result
}

async function askAgent(work: StepWork): Promise<string> {
  const { step, results, parts } = work
  const agent = await resolveAgent(parts.db, step.toolOrPromptName)
  const prompt = String(step.toolOrPromptParams.prompt ?? '')
  const messages = results.length > 0 ? [prompt, resultsMessage(results)] : [prompt]
  return ask(work, agent, messages, idempotencyKeyOf(step))
}

async function useTool(work: StepWork): Promise<unknown> {
  const { step, results } = work
  const tool = findTool(step.toolOrPromptName)
  if (!tool) throw new ToolError('tool_not_found', `There is no tool ${step.toolOrPromptName}.`)
  const params = resolveReferences(step.toolOrPromptParams, (taskId) => resultOf(results, taskId))
  const input = tool.parameters.safeParse(params)
  if (!input.success) {
    const [issue] = input.error.issues
    throw new ToolError(
      'bad_parameters',
      `${tool.name} cannot take these parameters: ${issue?.path.join('.')} ${issue?.message}`,
    )
  }
  return call(work, tool, input.data)
}

/** Calls the tool; what exactly it was called with is kept whatever comes of it. */
async function call(work: StepWork, tool: Tool, input: unknown): Promise<unknown> {
  const { stepTimeoutMs } = work.parts.shared.settings
  const noteCall = begunToolCall(work, tool, input)
  const timeout = AbortSignal.timeout(stepTimeoutMs)
  try {
    const result = await tool.run(input, toolUse(work, timeout))
    noteCall(null)
    return result
  } catch (thrown) {
    const isTold = thrown instanceof ToolError || (thrown instanceof ModelError && thrown.code !== 'aborted')
    const isOwn = isTold || !timeout.aborted || work.stop.aborted
    const message = `${tool.name} gave no answer within ${stepTimeoutMs} ms.`
    const error = isOwn ? thrown : new ToolError('timeout', message, true)
    noteCall(codeOf(error))
    throw error
  }
}

/** @returns notes how the call ended @throws ToolError when the arguments are more than can be kept */
function begunToolCall({ parts, step, yielded }: StepWork, tool: Tool, input: unknown): (code: string | null) => void {
  const { newId, now } = parts.shared
  const text = JSON.stringify(input)
  if (new TextEncoder().encode(text).byteLength > MAX_ARGUMENTS_BYTES)
    throw new ToolError('arguments_too_large', `The arguments have more than ${MAX_ARGUMENTS_BYTES} bytes.`)
  const begunAt = now()
  return (errorCode) => {
    yielded.toolCalls.push({
      id: newId(),
      executionId: step.executionId,
      subStepId: step.id,
      attempt: step.attempt,
      toolName: tool.name,
      arguments: text,
      idempotencyKey: idempotencyKeyOf(step),
      errorCode,
      durationMs: now().getTime() - begunAt.getTime(),
      createdAt: begunAt.toISOString(),
    })
  }
}

function codeOf(error: unknown): string {
  const isTold = error instanceof ToolError || error instanceof ModelError || error instanceof ProductError
  return isTold ? error.code : 'internal_error'
}

/** The same for every repetition of the same piece of work, also after a crash; a deliberate retry has another. */
function idempotencyKeyOf({ executionId, taskId, retry }: SubStep): string {
  return `${executionId}/${taskId}/${retry}`
}

function resultOf(results: StepWork['results'], taskId: string): unknown {
  return results.find((result) => sameTask(result.taskId, taskId))?.result
}

function toolUse(work: StepWork, timeout: AbortSignal): ToolUse {
  const { parts, stop } = work
  const { stepTimeoutMs } = parts.shared.settings
  const key = idempotencyKeyOf(work.step)
  let asked = 0
  return {
    signal: AbortSignal.any([stop, timeout]),
    timeoutMs: stepTimeoutMs,
    idempotencyKey: key,
    fetch: parts.shared.fetch,
    files: filesOf(work),
    progress: work.progress,
    async askModel(prompt, material) {
      const agent = await resolveAgent(parts.db, 'inference')
      const messages =
        material === null
          ? [prompt]
          : [prompt, resultsMessage([{ taskId: 'data', description: 'data', result: material }])]
      asked += 1 // a tool that asks twice makes two pieces of work, in the same order each time
      const own = asked === 1 ? key : `${key}/${asked}`
      return ask({ ...work, stop: AbortSignal.any([stop, timeout]) }, agent, messages, own)
    },
  }
}

/** Calls the agent's model once; what it cost is noted whatever comes of it. */
async function ask(
  { parts, params, step, yielded, askLeave, progress, stop }: StepWork,
  agent: Agent,
  messages: string[],
  idempotencyKey: string,
): Promise<string> {
  const { models, settings, liveAnswers } = parts.shared
  const speaker = liveAnswers.begin(step.executionId, step.taskId, step.attempt)
  const request: ModelRequest = {
    task: 'answer',
    agentName: agent.name,
    instructions: agent.systemPrompt,
    messages,
    temperature: params.temperature ?? agent.constraints?.temperature,
    topP: agent.constraints?.topP,
    maxTokens: params.maxTokens ?? agent.constraints?.maxTokens,
    seed: params.seed,
    idempotencyKey,
    signal: stop,
    onText: speaker.say,
  }
  const timeoutMs = agent.constraints?.timeoutMs ?? settings.stepTimeoutMs
  const model = models.resolve(params, agent)
  const outcome = await callModel(parts.shared, model, request, timeoutMs, askLeave).finally(speaker.end)
  yielded.calls.push(outcome.call)
  if (!outcome.ok) throw outcome.error
  if (!outcome.answer.isComplete) await progress('The model stopped before its answer was complete.')
  return outcome.answer.text
}

/** The execution's files as this step sees them: what is committed, and what it has written itself. */
function filesOf({ parts, step, yielded }: StepWork): ExecutionFiles {
  const { blobs, newId, now } = parts.shared
  return {
    async read(name) {
      const file =
        yielded.artifacts.find((artifact) => artifact.name === name) ??
        (await findArtifact(parts.db, step.executionId, name))
      const bytes = file && (await blobs.get(file.blobKey))
      return bytes ? { name, contentType: file.contentType, bytes } : null
    },
    async write(name, contentType, bytes) {
      const id = newId()
      const blobKey = `${parts.tenantId}/executions/${step.executionId}/${id}`
      await blobs.put(blobKey, bytes)
      const { executionId } = step
      yielded.artifacts.push({
        id,
        executionId,
        name,
        origin: 'output',
        contentType,
        sizeBytes: bytes.byteLength,
        blobKey,
        createdAt: now().toISOString(),
      })
    },
    names: () => listArtifactNames(parts.db, step.executionId),
  }
}
