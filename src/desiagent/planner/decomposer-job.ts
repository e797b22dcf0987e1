import { z } from 'zod'

/** The most sub-tasks one plan may have. */
export const MAX_SUB_TASKS = 100

const text = (max: number) => z.string().max(max)

const SubTask = z.strictObject({
  id: text(64).min(1),
  description: text(2_000),
  thought: text(4_000).default(''),
  action_type: z.enum(['tool', 'inference', 'skill']),
  tool_or_prompt: z.strictObject({
    name: text(128).min(1),
    params: z.record(z.string(), z.unknown()).default({}),
  }),
  expected_output: text(2_000).default(''),
  dependencies: z.array(text(64)).max(MAX_SUB_TASKS).default([]),
})

/** A plan, in the words models and existing plans speak (hence snake_case). */
export const DecomposerJob = z.strictObject({
  original_request: text(100_000),
  title: text(200).optional(),
  intent: z.strictObject({ primary: text(500), sub_intents: z.array(text(500)).max(50).default([]) }),
  entities: z
    .array(z.strictObject({ entity: text(500), type: text(100), grounded_value: text(2_000) }))
    .max(200)
    .default([]),
  sub_tasks: z.array(SubTask).max(MAX_SUB_TASKS),
  synthesis_plan: text(4_000).default(''),
  validation: z
    .strictObject({
      coverage: text(100),
      gaps: z.array(text(500)).max(50).default([]),
      iteration_triggers: z.array(text(500)).max(50).default([]),
    })
    .default({ coverage: 'high', gaps: [], iteration_triggers: [] }),
  clarification_needed: z.boolean().default(false),
  clarification_query: z.string().max(2_000).nullable().default(null),
})
export type DecomposerJob = z.output<typeof DecomposerJob>
export type SubTask = DecomposerJob['sub_tasks'][number]
