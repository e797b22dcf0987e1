import type { LanguageModelV4Prompt } from '@ai-sdk/provider'

/**
 * Reads back what `messages.ts` writes. Goals, answers and results are other people's text and may hold our tags
 * themselves, so every part is found by the structure around it (its line, its neighbour), never by the bare tag.
 */

export interface PlanningRequest {
  goalText: string
  clarifications: { question: string; answer: string }[]
  inputNames: string[]
  toolNames: ReadonlySet<string>
}

export interface Result {
  taskId: string
  description: string
  isFinal: boolean
  text: string
}

export interface SynthesisRequest {
  synthesisPlan: string
  results: Result[]
  missing: { description: string; reason: string }[]
}

/** The user's text parts, in order. Whether they came as one message or as several makes no difference here. */
export function userTexts(prompt: LanguageModelV4Prompt): string[] {
  return prompt.flatMap((message) => {
    if (message.role !== 'user') return []
    return message.content.flatMap((part) => (part.type === 'text' ? [part.text.replaceAll('\r\n', '\n')] : []))
  })
}

/** Everything the model is asked to read: what a provider would count as input. */
export function promptChars(prompt: LanguageModelV4Prompt): number {
  const systemTexts = prompt.flatMap((message) => (message.role === 'system' ? [message.content] : []))
  return [...systemTexts, ...userTexts(prompt)].reduce((chars, text) => chars + text.length, 0)
}

export function readPlanningMessage(message: string): PlanningRequest {
  // Each tool is one line of JSON, so nothing behind the real opening tag can look like another one.
  const toolsAt = message.lastIndexOf('\n<tools>\n')
  const head = toolsAt < 0 ? message : message.slice(0, toolsAt)
  const { rest, inputNames } = takeInputs(head)
  const { goalText, behind } = takeGoal(rest)
  const clarifications = readClarifications(behind)
  return { goalText, clarifications, inputNames, toolNames: toolsAt < 0 ? new Set() : readToolNames(message, toolsAt) }
}

/** The goal of a title message. */
export function readTitleMessage(message: string): string {
  const end = message.lastIndexOf('\n</goal>\n<intent>')
  return end < 0 ? takeGoal(message).goalText : message.slice('<goal>\n'.length, end)
}

export function readSynthesisMessage(message: string): SynthesisRequest {
  const goalEnd = message.indexOf('\n</goal>\n<synthesis_plan>\n')
  const body = goalEnd < 0 ? message : message.slice(goalEnd + '\n</goal>\n'.length)
  const planEnd = body.indexOf('\n</synthesis_plan>')
  const synthesisPlan = planEnd < 0 ? '' : body.slice('<synthesis_plan>\n'.length, planEnd)
  const elements = readElements(planEnd < 0 ? body : body.slice(planEnd + '\n</synthesis_plan>\n'.length))
  return {
    synthesisPlan,
    results: elements.filter(({ name }) => name === 'result').map(toResult),
    missing: elements
      .filter(({ name }) => name === 'missing')
      .map(({ description, content }) => ({ description, reason: content.trim() })),
  }
}

export function isResultsMessage(message: string): boolean {
  return /^<result task="[^"\n]*" description="/.test(message)
}

export function readResults(message: string): Result[] {
  return readElements(message).map(toResult)
}

function takeInputs(head: string): { rest: string; inputNames: string[] } {
  const lines = head.split('\n')
  const inputNames: string[] = []
  while (lines.length > 0) {
    const name = /^<input name="([^"]*)" /.exec(lines.at(-1)!)?.[1]
    if (name === undefined || !lines.at(-1)!.endsWith('/>')) break
    inputNames.unshift(name)
    lines.pop()
  }
  return { rest: lines.join('\n'), inputNames }
}

function takeGoal(text: string): { goalText: string; behind: string } {
  const open = '<goal>\n'
  const close = '\n</goal>'
  const end = text.lastIndexOf(close)
  if (!text.startsWith(open) || end < open.length - 1) return { goalText: text, behind: '' }
  return { goalText: text.slice(open.length, end), behind: text.slice(end + close.length) }
}

function readClarifications(behind: string): { question: string; answer: string }[] {
  const open = '\n<clarification>\nQ: '
  const close = '\n</clarification>'
  const end = behind.lastIndexOf(close)
  if (!behind.startsWith(open) || end < 0) return []
  return behind
    .slice(open.length, end)
    .split(close + open)
    .map((pair) => {
      const answerAt = pair.indexOf('\nA: ')
      if (answerAt < 0) return { question: pair, answer: '' }
      return { question: pair.slice(0, answerAt), answer: pair.slice(answerAt + '\nA: '.length) }
    })
}

function readToolNames(message: string, toolsAt: number): Set<string> {
  const start = toolsAt + '\n<tools>\n'.length
  const end = message.indexOf('\n</tools>', start - 1)
  const lines = message.slice(start, end < 0 ? undefined : end).split('\n')
  return new Set(lines.map(toolName).filter((name) => name !== null))
}

function toolName(line: string): string | null {
  try {
    const tool: unknown = JSON.parse(line)
    return typeof tool === 'object' && tool !== null && 'name' in tool ? String(tool.name) : null
  } catch {
    return null
  }
}

interface Element {
  name: string
  attributes: string
  description: string
  content: string
}

/** An element opens at the start or right behind another's close, and reaches to the last close before the next. */
function readElements(text: string): Element[] {
  const openings = [...text.matchAll(/^<(result|missing) task="[^"\n]*" description="([^"\n]*)"[^<>\n]*>$/gm)].filter(
    ({ index }) => index === 0 || /<\/(?:result|missing)>\n$/.test(text.slice(Math.max(0, index - 12), index)),
  )
  return openings.map((opening, i) => {
    const name = opening[1]!
    const start = opening.index + opening[0].length + 1
    const region = text.slice(start, openings[i + 1]?.index)
    const end = region.lastIndexOf(`</${name}>`)
    const content = end < 0 ? region : region.slice(0, end).replace(/\n$/, '')
    return { name, attributes: opening[0], description: opening[2]!, content }
  })
}

function toResult({ attributes, description, content }: Element): Result {
  const taskId = /task="([^"]*)"/.exec(attributes)?.[1] ?? ''
  return { taskId, description, isFinal: / final="yes">$/.test(attributes), text: content }
}
