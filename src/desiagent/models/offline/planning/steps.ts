import type { Job } from '../reading/jobs.ts'
import { withMaterial } from '../reading/material.ts'
import type { Output } from '../reading/outputs.ts'
import { clip } from '../text/words.ts'
import { type Clause, type Goal, isAddress } from './goal.ts'

export interface ReadingStep {
  source: string
}
export interface WorkStep {
  clause: Clause
  prompt: string
  /** What it reads, by name, and which earlier work steps it builds on, by place. */
  sources: string[]
  builtOn: number[]
}
export interface WritingStep {
  path: string
  /** Work steps and sources whose results go into the file, or its literal content. */
  works: number[]
  sources: string[]
  literal: string | null
}
export interface Steps {
  works: WorkStep[]
  writings: WritingStep[]
}

const ALL = /\b(?:all|both|each|every|everything|files|documents|texts|pages)\b/
const EARLIER = /\b(?:results?|findings|answers?|everything|output|outcomes?)\b/
const PRONOUN = /\b(?:it|its|them|they|this|that|these|those)\b/
const MAX_WORKS = 50

/** Walks the clauses in order, keeping in mind what "it" and "the summary" stand for. */
export function stepsOf(goal: Goal, canUse: (source: string) => boolean): Steps {
  const steps: Steps = { works: [], writings: [] }
  const everything = (goal.sources.length > 0 ? goal.sources : goal.inputs).filter(canUse)
  let focus: string[] = []
  for (const clause of goal.clauses) {
    const named = clause.sources.filter(canUse)
    if (named.length > 0) focus = named
    const sources = named.length > 0 ? named : sourcesFor(clause, goal, focus, everything)
    if (clause.onlyReads && clause.outputs.length === 0) {
      if (named.length === 0) focus = everything
    } else if (clause.outputs.length === 0) addWork(steps, goal, clause, sources)
    else for (const output of clause.outputs) addWriting(steps, goal, clause, output, sources)
  }
  return steps
}

function sourcesFor(clause: Clause, goal: Goal, focus: string[], everything: string[]): string[] {
  const said = clause.text.toLowerCase()
  if (ALL.test(said) || focus.length === 0) return isAboutTexts(clause, goal) ? everything : []
  return isAboutTexts(clause, goal) ? focus : []
}

/** "Write a poem" needs no file, even if one was given along; "translate it" does. */
function isAboutTexts({ jobs, text }: Clause, goal: Goal): boolean {
  if (jobs.some(({ kind }) => kind !== 'cannot')) return true
  return (
    goal.sources.length > 0 ||
    PRONOUN.test(text.toLowerCase()) ||
    /\b(?:text|file|document|page|notes?)s?\b/i.test(text)
  )
}

/** @returns the step's place, or null when the plan is full */
function addWork(steps: Steps, goal: Goal, clause: Clause, sources: string[]): number | null {
  if (steps.works.length >= MAX_WORKS) return null
  const builtOn = earlierWorks(steps.works, clause)
  const material = clause.sources.length === 0 && builtOn.length === 0 ? goal.material : null
  const prompt = withMaterial(withWhatItCounts(clause, steps.works.at(-1)), material)
  return steps.works.push({ clause, prompt, sources: builtOn.length > 0 ? [] : sources, builtOn }) - 1
}

/** "combine them", "count the words of the summary": the clause works on what earlier steps made. */
function earlierWorks(works: readonly WorkStep[], clause: Clause): number[] {
  const said = clause.text.toLowerCase()
  if (clause.sources.length > 0) return []
  if (clause.jobs[0]!.kind === 'combine' || /\b(?:the|these|those|all) (?:results?|findings|answers)\b/.test(said))
    return places(works)
  const named = NAMED_RESULTS.filter(([pattern]) => pattern.test(said))
  return places(works).filter((i) =>
    named.some(([, kinds]) => works[i]!.clause.jobs.some(({ kind }) => kinds.includes(kind))),
  )
}

const NAMED_RESULTS: readonly [RegExp, Job['kind'][]][] = [
  [
    /\b(?:the|this|that|your|its|both) (?:summary|summaries|digest|recap)\b/,
    ['summarise', 'keySentences', 'keyPoints'],
  ],
  [/\b(?:the|this|that|your) outline\b/, ['outline']],
  [/\b(?:the|this|that|your) (?:list|lists)\b/, ['list', 'mentions', 'topic', 'keyPoints']],
]

/** "List the action items and count them" counts action items. */
function withWhatItCounts({ text, jobs }: Clause, last: WorkStep | undefined): string {
  const listed = last?.clause.jobs.find((job) => job.kind === 'list')
  const isCountingThem = jobs[0]!.kind === 'count' && /^(?:count|tally) (?:them|those|these)$/i.test(text)
  if (!isCountingThem || listed === undefined) return text
  return `${text} (count the ${listed.what === 'actionItems' ? 'action items' : listed.what})`
}

function addWriting(steps: Steps, goal: Goal, clause: Clause, output: Output, sources: string[]): void {
  const found = worksFor(steps.works, clause, output)
  if (found.length > 0) steps.writings.push({ path: output.path, works: found, sources: [], literal: null })
  else if (isLiteral(output, goal))
    steps.writings.push({ path: output.path, works: [], sources: [], literal: literalOf(output, goal) })
  else if (isCopy(clause, output, sources))
    steps.writings.push({ path: output.path, works: [], sources, literal: null })
  else {
    const made = addWork(steps, goal, clause, sources)
    if (made !== null) steps.writings.push({ path: output.path, works: [made], sources: [], literal: null })
  }
}

/** The earlier steps that made what is to be written: those of the same kind of work, or all for "the results" and "it". */
function worksFor(works: readonly WorkStep[], clause: Clause, { object }: Output): number[] {
  if (clause.sources.length > 0) return []
  const isDefinite = /^(?:the|these|those|this|that|both|all|your|its)\b/.test(object)
  const wanted = new Set(clause.jobs.filter(({ kind }) => kind !== 'cannot').map(keyOf))
  const same = places(works).filter((i) =>
    works[i]!.clause.jobs.some((job) => wanted.has(keyOf(job)) && object.includes(wordOf(job))),
  )
  if (same.length > 0) return same
  const isAnything = object === '' || PRONOUN.test(object) || EARLIER.test(object) || ALL.test(object) || isDefinite
  return isAnything ? uncombined(works) : []
}

/** What went into a combination is in its result already. */
function uncombined(works: readonly WorkStep[]): number[] {
  const combined = new Set(works.flatMap(({ clause, builtOn }) => (clause.jobs[0]!.kind === 'combine' ? builtOn : [])))
  return places(works).filter((place) => !combined.has(place))
}

function keyOf(job: Job): string {
  return 'what' in job ? `${job.kind} ${job.what}` : job.kind
}

/** The beginning of the noun that stands for the job's result. */
function wordOf(job: Job): string {
  if (job.kind === 'summarise') return 'summar'
  if (job.kind === 'list') return job.what === 'actionItems' ? '' : job.what.slice(0, 4)
  return ''
}

function isLiteral({ object }: Output, goal: Goal): boolean {
  return (
    /^["“'`]/.test(object) ||
    (goal.material !== null && /\b(?:text|lines?|words?|sentences?|this|following|content)\b/.test(object))
  )
}

function literalOf({ object }: Output, goal: Goal): string {
  return goal.material ?? object.replace(/^["“'`]|["”'`]$/g, '')
}

function isCopy(clause: Clause, { object }: Output, sources: string[]): boolean {
  const readsOnly = clause.onlyReads || /^(?:save|copy|store|write|put)\b/i.test(clause.text)
  return (
    sources.length > 0 &&
    readsOnly &&
    (object === '' || /□|\.\w+$|https?:|\b(?:it|file|page|text|content|them)\b/.test(object)) &&
    !clause.jobs.some(isWork)
  )
}

function isWork({ kind }: Job): boolean {
  return !['cannot', 'topic', 'ask'].includes(kind)
}

function places(works: readonly WorkStep[]): number[] {
  return works.map((_, i) => i)
}

export function describe(text: string): string {
  const line = clip(text.replace(/\s+/g, ' ').trim(), 200)
  return line.charAt(0).toUpperCase() + line.slice(1)
}

export function describeSource(source: string): string {
  return describe(`${isAddress(source) ? 'Fetch' : 'Read'} ${source}`)
}
