import type { DecomposerJob, SubTask } from '../../../planner/decomposer-job.ts'
import { readPlanningMessage } from '../prompt-parts.ts'
import { NOT_DONE } from '../synthesis.ts'
import { clip } from '../text/words.ts'
import { titleOf } from '../title.ts'
import { clarificationOf } from './clarification.ts'
import { type Goal, isAddress, readGoal } from './goal.ts'
import { describe, describeSource, type Steps, stepsOf, type WorkStep, type WritingStep } from './steps.ts'

const MAX_SOURCES = 30
const MAX_WRITINGS = 15

/** Plans a goal by its clauses and verbs. The same goal, inputs and tools always give the same plan. */
export function plan(message: string): DecomposerJob {
  const request = readPlanningMessage(message)
  const goal = readGoal(request)
  const canUse = (source: string) => request.toolNames.has(isAddress(source) ? 'fetchPage' : 'readFile')
  const question = clarificationOf(goal, request.goalText, canUse)
  const steps = question === null ? stepsOf(goal, canUse) : { works: [], writings: [] }
  const leftOut = leftOutOf(goal, steps, canUse, request.toolNames)
  return {
    original_request: request.goalText.slice(0, 100_000),
    title: titleOf(request.goalText),
    intent: { primary: primaryIntent(goal), sub_intents: goal.clauses.slice(0, 50).map(({ text }) => clip(text, 500)) },
    entities: goal.sources.slice(0, 50).map(toEntity),
    sub_tasks: question === null ? subTasksOf(goal, steps, canUse, request.toolNames.has('writeFile')) : [],
    synthesis_plan: clip(['Show each final result under what it was to do.', ...leftOut].join(' '), 4_000),
    validation: { coverage: 'high', gaps: [], iteration_triggers: [] },
    clarification_needed: question !== null,
    clarification_query: question,
  }
}

/** Reading first, then the work, then the files: so every dependency has a lower number. */
function subTasksOf(goal: Goal, steps: Steps, canUse: (source: string) => boolean, canWrite: boolean): SubTask[] {
  const sources = sourcesRead(goal, steps, canUse)
  const readId = new Map(sources.map((source, i) => [source, idOf(i)]))
  const workId = steps.works.map((_, i) => idOf(sources.length + i))
  const readIds = (names: readonly string[]) => names.flatMap((name) => readId.get(name) ?? [])

  const reading = sources.map((source) => readingTask(readId.get(source)!, source))
  const work = steps.works.map((step, i) =>
    workTask(workId[i]!, step, [...readIds(step.sources), ...step.builtOn.map((place) => workId[place]!)]),
  )
  const writing = canWrite ? distinctPaths(steps.writings).slice(0, MAX_WRITINGS) : []
  const written = writing.map((step, i) => {
    const works = step.works.map((place) => ({ id: workId[place]!, title: describe(steps.works[place]!.clause.text) }))
    const copies = readIds(step.sources).map((id, at) => ({ id, title: step.sources[at]! }))
    return writingTask(idOf(sources.length + work.length + i), step, [...works, ...copies])
  })
  const tasks = [...reading, ...work, ...written]
  return tasks.length > 0 ? tasks : [restatementTask(goal)]
}

/** What some step works on or copies; what a clause only wants to see; nothing else. */
function sourcesRead(goal: Goal, steps: Steps, canUse: (source: string) => boolean): string[] {
  const worked = [...steps.works, ...steps.writings].flatMap(({ sources }) => sources)
  const onlyReading = goal.clauses.filter((clause) => clause.onlyReads)
  const seen = onlyReading.flatMap(({ sources }) => sources).filter(canUse)
  const isReadingAll = onlyReading.length > 0 && goal.sources.length === 0
  const wanted = new Set([...worked, ...seen, ...(isReadingAll ? goal.inputs.filter(canUse) : [])])
  const inOrder = [...new Set([...goal.sources, ...goal.inputs])]
  return inOrder.filter((source) => wanted.has(source)).slice(0, MAX_SOURCES)
}

function readingTask(id: string, source: string): SubTask {
  const isPage = isAddress(source)
  // A brace in an address could read as a reference; percent-encoded it is the same address.
  const params = isPage ? { url: source.replaceAll('{', '%7B').replaceAll('}', '%7D') } : { path: source }
  return {
    id,
    description: describeSource(source),
    thought: 'The goal is about this text, so it is read first.',
    action_type: 'tool',
    tool_or_prompt: { name: isPage ? 'fetchPage' : 'readFile', params },
    expected_output: isPage ? 'The text of the page' : 'The text of the file',
    dependencies: [],
  }
}

function workTask(id: string, { clause, prompt }: WorkStep, dependencies: string[]): SubTask {
  return {
    id,
    description: describe(clause.text),
    thought: dependencies.length > 0 ? 'Works on what the steps before it gave.' : 'Needs nothing but its own prompt.',
    action_type: 'inference',
    tool_or_prompt: { name: 'inference', params: { prompt } },
    expected_output: 'Markdown',
    dependencies: [...new Set(dependencies)],
  }
}

function writingTask(id: string, step: WritingStep, parts: readonly { id: string; title: string }[]): SubTask {
  return {
    id,
    description: describe(`Write ${step.path}`),
    thought: 'Files are written last, when everything that goes into them is there.',
    action_type: 'tool',
    tool_or_prompt: { name: 'writeFile', params: { path: defused(step.path), content: contentOf(step, parts) } },
    expected_output: 'The file',
    dependencies: [...new Set(parts.map(({ id }) => id))],
  }
}

/** A reference with a newline behind it is always filled in as text; alone it would become the value, which may be an object. */
function contentOf({ literal }: WritingStep, parts: readonly { id: string; title: string }[]): string {
  if (parts.length === 0) return `${defused(literal ?? '')}\n`
  if (parts.length === 1) return `${reference(parts[0]!.id)}\n`
  return `${parts.map(({ id, title }) => `## ${defused(title)}\n\n${reference(id)}`).join('\n\n')}\n`
}

function reference(id: string): string {
  return `{{tasks.${id}.result}}`
}

/** The goal's own words must not be taken for references of the plan. */
function defused(text: string): string {
  return text.replaceAll('{{', '{ {').replace(/<(?=Results? )/gi, '< ')
}

/** For a goal that leaves nothing to plan, such as a file that no tool here can read. */
function restatementTask(goal: Goal): SubTask {
  const text = goal.clauses[0]?.text ?? 'Say what the request asks'
  return workTask('001', { clause: { ...emptyClause, text }, prompt: text, sources: [], builtOn: [] }, [])
}

const emptyClause = { jobs: [], sources: [], absentFiles: [], outputs: [], onlyReads: false }

/** Two writings to one path would race; the later one is what the goal ends with. */
function distinctPaths(writings: readonly WritingStep[]): WritingStep[] {
  return [...new Map(writings.map((writing) => [writing.path, writing])).values()]
}

function leftOutOf(
  goal: Goal,
  steps: Steps,
  canUse: (source: string) => boolean,
  tools: ReadonlySet<string>,
): string[] {
  const unread = goal.sources
    .filter((source) => !canUse(source))
    .map((source) => `${source} was not read, there is no tool for it here.`)
  const unwritten = tools.has('writeFile')
    ? []
    : steps.writings.map(({ path }) => `${path} was not written, there is no tool for it here.`)
  const sentences = [...unread, ...unwritten]
  return sentences.length === 0 ? [] : [NOT_DONE + sentences.join(' ')]
}

function primaryIntent(goal: Goal): string {
  const first = goal.clauses[0]?.text ?? 'Find out what is wanted'
  const others = goal.clauses.length - 1
  const more = others > 0 ? `, and ${others} more ${others === 1 ? 'thing' : 'things'}` : ''
  return `${describe(first).replace(/[.!?…]{1,3}$/, '')}${more}.`
}

function toEntity(source: string) {
  return { entity: clip(source, 500), type: isAddress(source) ? 'page' : 'file', grounded_value: clip(source, 2_000) }
}

function idOf(place: number): string {
  return String(place + 1).padStart(3, '0')
}
