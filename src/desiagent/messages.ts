/**
 * What we say to a model, apart from an agent's own instructions. Each part stands in a tag of its own, so that a
 * model (the offline one too) can tell the goal from the material.
 */

export interface InputFile {
  name: string
  contentType: string
  sizeBytes: number
}

export interface PlanningBrief {
  goalText: string
  inputs: readonly InputFile[]
  tools: readonly { name: string; description: string; parameters: unknown }[]
  agents: readonly { name: string; description: string | null }[]
  /** Questions asked before, with the user's answers. */
  clarifications: readonly { question: string; answer: string }[]
  today: string
}

/** The planner's first message. */
export function planningMessage(brief: PlanningBrief): string {
  return [
    tag('goal', brief.goalText),
    ...brief.clarifications.map(({ question, answer }) => tag('clarification', `Q: ${question}\nA: ${answer}`)),
    ...brief.inputs.map(
      (input) => `<input name="${attribute(input.name)}" type="${input.contentType}" bytes="${input.sizeBytes}"/>`,
    ),
    tag('tools', brief.tools.map((tool) => JSON.stringify(tool)).join('\n')),
    tag('agents', brief.agents.map((agent) => JSON.stringify(agent)).join('\n')),
    tag('today', brief.today),
  ].join('\n')
}

/** What the planner is told when its last plan could not be used. */
export function problemsMessage(previous: string, problems: readonly string[]): string {
  return [
    tag('previous_answer', previous),
    tag('problems', problems.map((problem) => `- ${problem}`).join('\n')),
    'Answer with the whole corrected plan as one JSON object.',
  ].join('\n')
}

export function titleMessage(goalText: string, primaryIntent: string): string {
  return `${tag('goal', goalText)}\n${tag('intent', primaryIntent)}`
}

export interface TaskResult {
  taskId: string
  description: string
  result: unknown
}

/** The results an inference builds on, labelled by task; the prompt itself is a message of its own, word for word. */
export function resultsMessage(results: readonly TaskResult[]): string {
  return results.map(resultTag).join('\n')
}

export interface SynthesisBrief {
  goalText: string
  synthesisPlan: string
  results: readonly (TaskResult & { isFinal: boolean })[]
  missing: readonly { taskId: string; description: string; reason: string }[]
}

export function synthesisMessage(brief: SynthesisBrief): string {
  return [
    tag('goal', brief.goalText),
    tag('synthesis_plan', brief.synthesisPlan),
    ...brief.results.map(resultTag),
    ...brief.missing.map(
      ({ taskId, description, reason }) =>
        `<missing task="${attribute(taskId)}" description="${attribute(description)}">\n${reason}\n</missing>`,
    ),
  ].join('\n')
}

/** A result as text: strings as they are, everything else as indented JSON. */
export function resultText(result: unknown): string {
  return typeof result === 'string' ? result : JSON.stringify(result, null, 2)
}

function resultTag(result: TaskResult & { isFinal?: boolean }): string {
  const final = result.isFinal === undefined ? '' : ` final="${result.isFinal ? 'yes' : 'no'}"`
  const open = `<result task="${attribute(result.taskId)}" description="${attribute(result.description)}"${final}>`
  return `${open}\n${resultText(result.result)}\n</result>`
}

function tag(name: string, content: string): string {
  return `<${name}>\n${content}\n</${name}>`
}

function attribute(text: string): string {
  return text.replaceAll('"', "'").replaceAll('\n', ' ')
}
