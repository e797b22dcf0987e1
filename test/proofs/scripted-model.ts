import { listenAsOpenAi, type ModelCall, type OpenAiServer, type Reply } from '#test/support/openai-server.ts'
import { pause } from './pause.ts'
import { readPrompt } from './step-sketches.ts'

/** How long a step's call was held, as the model saw it. */
export interface HeldCall {
  name: string
  id: string
  heldMs: number
}

export interface ScriptedModel {
  env: OpenAiServer['env']
  /** Of sub-steps, in the order of their answers. */
  held: HeldCall[]
  close(): void
}

/** A model that takes as long for each step as its prompt says, and no time for anything else. */
export async function scriptedModel(): Promise<ScriptedModel> {
  const held: HeldCall[] = []
  const server = await listenAsOpenAi(async (call) => {
    server.calls.length = 0 // nobody reads them, and there will be many
    return answer(call, held)
  })
  return { env: server.env, held, close: server.close }
}

async function answer({ messages }: ModelCall, held: HeldCall[]): Promise<Reply> {
  const step = readPrompt(messages[0] ?? '')
  if (!step) return 'All done.'
  const beganAt = performance.now()
  if (step.delayMs > 0) await pause(step.delayMs)
  held.push({ name: step.name, id: step.id, heldMs: performance.now() - beganAt })
  return `Step ${step.id} is done.`
}
