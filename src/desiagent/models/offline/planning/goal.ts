import type { PlanningRequest } from '../prompt-parts.ts'
import { clausesOf } from '../reading/clauses.ts'
import { type Job, jobsOf, needsText, onlyReads, subjectWords, TEXT_NOUNS } from '../reading/jobs.ts'
import { separateMaterial } from '../reading/material.ts'
import { lowerAscii, saidWords, urlSpans } from '../reading/names.ts'
import { type Output, outputsOf, sourceSpans } from '../reading/outputs.ts'

export interface Clause {
  text: string
  jobs: Job[]
  /** Names of files given along, and addresses, in the clause itself. */
  sources: string[]
  absentFiles: string[]
  outputs: Output[]
  onlyReads: boolean
}

export interface Goal {
  clauses: Clause[]
  /** Text the goal or an answer brings along. */
  material: string | null
  /** Everything named anywhere in the goal or its answer, with what was given along. */
  inputs: string[]
  sources: string[]
  absentFiles: string[]
  /** The user was asked before and answered. */
  isAnswered: boolean
}

/** A reference in a file's name would be taken for one of ours. */
const REFERENCE_LIKE = /\{\{|<Results?\s/i

export function readGoal(request: PlanningRequest): Goal {
  const inputs = request.inputNames.filter((name) => name !== '' && !REFERENCE_LIKE.test(name))
  const answer = request.clarifications.findLast(({ answer }) => answer.trim() !== '')?.answer.trim() ?? null
  const { instruction, material } = readInstruction(request.goalText, answer, inputs)
  const clauses = clausesOf(instruction, inputs).map((text) => readClause(text, inputs))
  const named = answer === null ? [] : namedIn(answer, inputs)
  return {
    clauses,
    material,
    inputs,
    sources: [...new Set([...namedIn(instruction, inputs), ...named])],
    absentFiles: [...new Set(clauses.flatMap(({ absentFiles }) => absentFiles))],
    isAnswered: request.clarifications.length > 0,
  }
}

/** An answer is the text to work on, unless it only names a source; when the goal itself asks nothing, it is the goal. */
function readInstruction(goalText: string, answer: string | null, inputs: string[]) {
  const goal = separateMaterial(goalText, inputs)
  if (answer === null) return goal
  if (isMeaningless(goal.instruction) && !isMeaningless(answer)) {
    const answered = separateMaterial(answer, inputs)
    return { instruction: answered.instruction, material: answered.material ?? goal.material }
  }
  const onlyNames = namedIn(answer, inputs).length > 0 && answer.length < 300 && !answer.includes('\n')
  const told = onlyNames ? null : (separateMaterial(answer, inputs).material ?? answer)
  return { instruction: goal.instruction, material: told ?? goal.material }
}

function readClause(text: string, inputs: string[]): Clause {
  const files = sourceSpans(text, inputs).map(({ text }) => text)
  return {
    text,
    jobs: jobsOf(text, inputs),
    sources: namedIn(text, inputs),
    absentFiles: files.filter((name) => !inputs.includes(name)),
    outputs: outputsOf(text, inputs),
    onlyReads: onlyReads(text, inputs),
  }
}

function namedIn(text: string, inputs: string[]): string[] {
  const files = sourceSpans(text, inputs).filter(({ text }) => inputs.includes(text))
  const spans = [...files, ...urlSpans(text)].sort((a, b) => a.start - b.start)
  return [...new Set(spans.map(({ text }) => text))]
}

export function isAddress(source: string): boolean {
  return /^https?:\/\//i.test(source)
}

/** Words that ask something, but say nothing about what: "do it", "help". */
const EMPTY_WORDS = new Set(
  'do it this that these those them please help me go make something anything thing things stuff now ok okay yes no hi hello hey start run work just can you the a an my for with and us here there test'.split(
    ' ',
  ),
)

export function isMeaningless(text: string): boolean {
  return (text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []).every((word) => EMPTY_WORDS.has(word))
}

const DEFINITE_TEXT = new RegExp(
  `\\b(?:the|this|that|these|my|our|your|attached|given) (?:[a-z-]+ )?(?:${TEXT_NOUNS})\\b`,
)

/** The clause asks for work on a text and says nothing else than that: without a text there is nothing to do. */
export function lacksObject({ text, jobs, absentFiles }: Clause, inputs: readonly string[]): boolean {
  if (!jobs.some(needsText)) return absentFiles.length > 0
  if (absentFiles.length > 0 || subjectWords(text, inputs).length === 0) return true
  return DEFINITE_TEXT.test(lowerAscii(saidWords(text, inputs)))
}
