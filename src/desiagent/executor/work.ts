import { type Agent, resolveAgent } from '../agents.ts'
import type { DagParams } from '../dag.ts'
import { resultsMessage } from '../messages.ts'
import { type CallEstimate, type CallRecord, callModel } from '../models/call.ts'
import { ModelError, type ModelRequest } from '../models/model.ts'
import type { DesiAgentParts } from '../parts.ts'
import { resolveReferences, sameTask } from '../planner/references.ts'
import { findArtifact, listArtifactNames, type NewArtifact } from '../store/artifacts.ts'
import type { SubStep } from '../store/sub-steps.ts'
import { findTool } from '../tools/registry.ts'
import { type ExecutionFiles, ToolError, type ToolUse } from '../tools/tool.ts'

/** What one attempt used and made, kept until it is committed with the step's new state. */
export interface Yield {
  calls: CallRecord[]
  artifacts: NewArtifact[]
}

export interface StepWork {
  parts: DesiAgentParts
  params: DagParams
  step: SubStep
  /** The results of the step's dependencies. */
  results: readonly { taskId: string; description: string; result: unknown }[]
  yielded: Yield
  progress(message: string): Promise<void>
  stop: AbortSignal
}

const MAX_RESULT_BYTES = 1_000_000

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
  return ask(work, agent, results.length > 0 ? [prompt, resultsMessage(results)] : [prompt])
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
  const { stepTimeoutMs } = work.parts.shared.settings
  const timeout = AbortSignal.timeout(stepTimeoutMs)
  try {
    return await tool.run(input.data, toolUse(work, timeout))
  } catch (error) {
    const isTold = error instanceof ToolError || (error instanceof ModelError && error.code !== 'aborted')
    if (isTold || !timeout.aborted || work.stop.aborted) throw error
    throw new ToolError('timeout', `${tool.name} gave no answer within ${stepTimeoutMs} ms.`, true)
  }
}

function resultOf(results: StepWork['results'], taskId: string): unknown {
  return results.find((result) => sameTask(result.taskId, taskId))?.result
}

function toolUse(work: StepWork, timeout: AbortSignal): ToolUse {
  const { parts, stop } = work
  const { stepTimeoutMs } = parts.shared.settings
  return {
    signal: AbortSignal.any([stop, timeout]),
    timeoutMs: stepTimeoutMs,
    fetch: parts.shared.fetch,
    files: filesOf(work),
    progress: work.progress,
    async askModel(prompt, material) {
      const agent = await resolveAgent(parts.db, 'inference')
      const messages =
        material === null
          ? [prompt]
          : [prompt, resultsMessage([{ taskId: 'data', description: 'data', result: material }])]
      return ask({ ...work, stop: AbortSignal.any([stop, timeout]) }, agent, messages)
    },
  }
}

/** Calls the agent's model once; what it cost is noted whatever comes of it. */
async function ask(
  { parts, params, step, yielded, progress, stop }: StepWork,
  agent: Agent,
  messages: string[],
): Promise<string> {
  const { models, settings, metering } = parts.shared
  const request: ModelRequest = {
    task: 'answer',
    agentName: agent.name,
    instructions: agent.systemPrompt,
    messages,
    temperature: params.temperature ?? agent.constraints?.temperature,
    topP: agent.constraints?.topP,
    maxTokens: params.maxTokens ?? agent.constraints?.maxTokens,
    seed: params.seed,
    idempotencyKey: `${step.executionId}/${step.taskId}/${step.retry}`,
    signal: stop,
  }
  const timeoutMs = agent.constraints?.timeoutMs ?? settings.stepTimeoutMs
  const reserve = (estimate: CallEstimate) => metering.reserveModelCall(parts.db, estimate)
  const outcome = await callModel(parts.shared, models.resolve(params, agent), request, timeoutMs, reserve)
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
