export interface TaskSketch {
  id: string
  /** Inference by default: the prompt. */
  prompt?: string
  tool?: string
  params?: Record<string, unknown>
  dependencies?: string[]
}

/** A valid plan of these tasks. */
export function planOf(tasks: TaskSketch[], more: object = {}) {
  return {
    original_request: 'a test',
    intent: { primary: 'test', sub_intents: [] },
    entities: [],
    sub_tasks: tasks.map(({ id, prompt, tool, params, dependencies = [] }) => ({
      id,
      description: `task ${id}`,
      thought: '',
      action_type: tool ? 'tool' : 'inference',
      tool_or_prompt: tool
        ? { name: tool, params: params ?? {} }
        : { name: 'inference', params: { prompt: prompt ?? `do ${id}` } },
      expected_output: 'text',
      dependencies,
    })),
    synthesis_plan: 'put it together',
    validation: { coverage: 'high', gaps: [], iteration_triggers: [] },
    clarification_needed: false,
    clarification_query: null,
    ...more,
  }
}
