import { type Result, readSynthesisMessage } from './prompt-parts.ts'
import { signed } from './signature.ts'
import { fieldOf, parseObject, textOfResult } from './sources.ts'

/** What the planner writes into its synthesis plan for what it had to leave out; told again at the end. */
export const NOT_DONE = 'Not done: '

/** Puts the final results together, each under what it was to do, and names what is missing. */
export function synthesise(message: string): string {
  const { synthesisPlan, results, missing } = readSynthesisMessage(message)
  const finals = results.filter(({ isFinal }) => isFinal)
  const shown = withWhatWasWritten(finals.length > 0 ? finals : results, results)
  const files = shown.flatMap((result) => writtenFile(result) ?? [])
  const texts = shown.filter((result) => writtenFile(result) === null)
  const sections =
    texts.length === 1 ? [bodyOf(texts[0]!)] : texts.map((result) => `## ${result.description}\n\n${bodyOf(result)}`)
  const leftOut = synthesisPlan.includes(NOT_DONE) ? [synthesisPlan.slice(synthesisPlan.indexOf(NOT_DONE))] : []
  const gaps = missing.map(({ description, reason }) => `- ${description}: ${reason.replace(/\s+/g, ' ')}`)
  const missingPart = gaps.length > 0 ? [`**Missing**\n\n${gaps.join('\n')}`] : []
  const parts = [...sections, ...files.map((file) => `The file ${file} was written.`), ...leftOut, ...missingPart]
  return signed(parts.length > 0 ? parts.join('\n\n') : 'There are no results.')
}

/** A file alone says little: what went into it is shown as well, as far as it was made for it. */
function withWhatWasWritten(finals: readonly Result[], all: readonly Result[]): readonly Result[] {
  if (!finals.every((result) => writtenFile(result) !== null)) return finals
  const made = all.filter((result) => writtenFile(result) === null && !/^(?:Read|Fetch) /.test(result.description))
  const others = made.filter((result) => !finals.includes(result))
  return [...others, ...finals]
}

function bodyOf(result: Result): string {
  const text = textOfResult(result.text).trim()
  const isData = parseObject(result.text) !== null && text === result.text.trim()
  return isData ? `\`\`\`json\n${text}\n\`\`\`` : text || '(empty)'
}

/** What `writeFile` answers names the path and how much was written; words alone are no proof that a file is there. */
function writtenFile({ text }: Result): string | null {
  const object = parseObject(text)
  const path = fieldOf(object, ['path', 'name', 'file', 'fileName'])
  const hasContent = fieldOf(object, ['content', 'text', 'markdown', 'body']) !== null
  return path !== null && !hasContent ? path : null
}
