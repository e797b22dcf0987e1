import { z } from '@hono/zod-openapi'
import { EXECUTION_STATUSES } from '#desiagent/execution.ts'
import { ExecutionLimits as Limits } from '#desiagent/limits.ts'
import { PROVIDERS } from '#desiagent/models/providers.ts'
import { FileName } from '#desiagent/tools/file-name.ts'

/** Shapes that more than one of the workflow contracts speaks of. */

export const Provider = z.enum(PROVIDERS).openapi({ description: 'A model provider the server is configured for.' })
export const ModelName = z.string().trim().min(1).max(200).openapi({ description: 'A model of that provider.' })
export const Temperature = z.number().min(0).max(2)
export const MaxTokens = z.int().min(1).max(1_000_000).openapi({ description: 'The most tokens one answer may have.' })
export const GoalText = z.string().trim().min(1).max(100_000).openapi({ description: 'What should be done, in words.' })
export const Title = z.string().trim().min(1).max(200)

export const ModelParams = {
  provider: Provider.optional(),
  model: ModelName.optional(),
  temperature: Temperature.optional(),
  maxTokens: MaxTokens.optional(),
  seed: z.int().optional(),
}

const MAX_INPUT_BYTES = 1_000_000

/** As much as `readFile` reads. */
const InputText = z
  .string()
  .max(MAX_INPUT_BYTES)
  .refine((text) => new TextEncoder().encode(text).byteLength <= MAX_INPUT_BYTES, 'At most 1,000,000 bytes of UTF-8.')

export const Inputs = z
  .array(z.strictObject({ name: FileName, content: InputText }))
  .max(20)
  .refine((inputs) => new Set(inputs.map(({ name }) => name)).size === inputs.length, 'Two inputs have the same name.')
  .openapi({ description: 'Texts that go along with the goal. Tasks read them by name with `readFile`.' })

// Cloned, because zod-openapi gives its method only to schemas made after it was loaded.
export const ExecutionLimits = Limits.clone().openapi('ExecutionLimits', {
  description:
    'What one execution may use at most; what is left out is not bounded. It is reserved before each call of a model, counted as if the ' +
    'prompt had a token for each byte and with the answer bounded (at 16,384 tokens when nobody said shorter), so no limit is passed. An execution that has too little left is ' +
    'suspended with `limit_reached`; resume it with higher limits.',
})

export const ExecutionStatus = z.enum(EXECUTION_STATUSES)

export const TokenUsage = z
  .object({
    promptTokens: z.int(),
    completionTokens: z.int(),
    totalTokens: z.int(),
    cachedTokens: z.int().openapi({ description: 'Part of `promptTokens`.' }),
  })
  .openapi('TokenUsage')

export const CostUsdMicros = z
  .int()
  .nullable()
  .openapi({ description: 'Micro-USD (1 USD = 1,000,000). Null when a part of it is not known; never 0 for that.' })

export const PlanningAttempt = z
  .object({
    attempt: z.int(),
    reason: z.enum(['initial', 'retry_gaps', 'retry_parse_error', 'retry_validation', 'title_master']),
    usage: TokenUsage,
    costUsdMicros: CostUsdMicros,
    errorMessage: z.string().nullable(),
  })
  .openapi('PlanningAttempt')
