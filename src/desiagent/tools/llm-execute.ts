import { z } from 'zod'
import { resultText } from '../messages.ts'
import { defineTool } from './tool.ts'

export const llmExecute = defineTool({
  name: 'llmExecute',
  description:
    'Asks a language model to carry out a prompt, on the given data if there is any. Returns its answer as text.',
  parameters: z.strictObject({
    prompt: z.string().min(1).max(100_000).describe('What to do.'),
    data: z.unknown().optional().describe('What to do it on, for example {{tasks.001.result}}.'),
  }),
  sideEffects: 'none',
  run: ({ prompt, data }, { askModel }) => askModel(prompt, data === undefined ? null : resultText(data)),
})
