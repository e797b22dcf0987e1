import type { Job, Listable } from './reading/jobs.ts'
import { cannot } from './signature.ts'
import type { Source } from './sources.ts'
import { actionItems } from './text/action-items.ts'
import { type Countable, countOf } from './text/counts.ts'
import {
  aboutTopic,
  answerFrom,
  datesOf,
  emailsOf,
  linksOf,
  mentionsOf,
  namesOf,
  numbersOf,
  questionsOf,
} from './text/finds.ts'
import { headingsOf, nestedList, outlineOf } from './text/headings.ts'
import { keySentences } from './text/summary.ts'
import { clip, plural } from './text/words.ts'

const MAX_LISTED = 200

const NOUNS: Record<Countable, string> = {
  words: 'word',
  characters: 'character',
  lines: 'line',
  sentences: 'sentence',
  paragraphs: 'paragraph',
  headings: 'heading',
  actionItems: 'action item',
  questions: 'question',
  links: 'link',
  dates: 'date',
  numbers: 'number',
  names: 'capitalised phrase',
  emails: 'e-mail address',
  occurrences: 'occurrence',
}

/** One job's answer in Markdown; each text under its own heading when there are several. */
export function workOn(job: Job, sources: readonly Source[]): string {
  if (job.kind === 'cannot')
    return `${cannot(job.what)}\n\nWhat I can give is its key sentences:\n\n${onEach(sources, points(null))}`
  if (job.kind === 'count') return count(job.what, job.term, sources)
  return onEach(sources, (text) => workOnText(job, text))
}

function onEach(sources: readonly Source[], work: (text: string) => string): string {
  if (sources.length === 1) return work(sources[0]!.text)
  return sources.map(({ label, text }) => `### ${clip(label, 120)}\n\n${work(text)}`).join('\n\n')
}

function workOnText(job: Exclude<Job, { kind: 'cannot' | 'count' }>, text: string): string {
  switch (job.kind) {
    case 'summarise':
      return keySentences(text, job.size).join(' ') || 'There are no sentences to choose from.'
    case 'keyPoints':
    case 'keySentences':
      return points(job.size)(text)
    case 'outline':
      return outlineOf(text) || 'There is nothing to outline.'
    case 'overview':
      return overview(text)
    case 'combine':
      return text.trim()
    case 'list':
      return list(job.what, text)
    case 'mentions':
      return found(mentionsOf(text, job.term), 'passage', `with “${clip(job.term, 100)}”`)
    case 'topic':
      return found(aboutTopic(text, job.words), 'passage', `with the words ${quotedWords(job.words)}`)
    case 'ask':
      return answerByQuoting(text, job.words)
  }
}

function points(size: number | null): (text: string) => string {
  return (text) => bullets(keySentences(text, size)) || 'There are no sentences to choose from.'
}

function overview(text: string): string {
  const counts = (['words', 'sentences', 'headings', 'actionItems'] as const).map((what) =>
    plural(countOf(text, what, ''), NOUNS[what]),
  )
  const headings = headingsOf(text)
  const outline = headings.length === 0 ? [] : [`**Headings**\n\n${nestedList(headings.slice(0, MAX_LISTED))}`]
  return [
    `By extraction, not by judgement: ${counts.join(', ')}.`,
    ...outline,
    `**Key sentences**\n\n${points(null)(text)}`,
  ].join('\n\n')
}

function list(what: Listable, text: string): string {
  if (what === 'headings') {
    const headings = headingsOf(text)
    return headings.length === 0
      ? 'I found no headings.'
      : `${plural(headings.length, 'heading')}:\n\n${nestedList(headings)}`
  }
  if (what === 'actionItems') return found(actionItems(text), NOUNS[what], '', '- [ ] ')
  return found(FINDERS[what](text), NOUNS[what], '')
}

const FINDERS: Record<Exclude<Listable, 'headings' | 'actionItems'>, (text: string) => string[]> = {
  questions: questionsOf,
  links: linksOf,
  dates: datesOf,
  numbers: numbersOf,
  names: namesOf,
  emails: emailsOf,
}

function found(items: readonly string[], noun: string, with_: string, mark = '- '): string {
  const behind = with_ === '' ? '' : ` ${with_}`
  const many = plural(2, noun).slice(2)
  if (items.length === 0) return `I found no ${many}${behind}.`
  const rest = items.length > MAX_LISTED ? `\n\nand ${items.length - MAX_LISTED} more.` : ''
  return `${plural(items.length, noun)}${behind}:\n\n${bullets(items.slice(0, MAX_LISTED), mark)}${rest}`
}

function answerByQuoting(text: string, words: readonly string[]): string {
  const sentences = words.length === 0 ? keySentences(text, null) : answerFrom(text, words)
  if (sentences.length === 0)
    return `The text says nothing with the words ${quotedWords(words)}, and I answer from the text only.`
  return `I do not reason about the question; these sentences of the text come nearest to it:\n\n${bullets(sentences)}`
}

function count(what: Countable, term: string, sources: readonly Source[]): string {
  const noun = what === 'occurrences' ? `occurrence of “${clip(term, 100)}”` : NOUNS[what]
  const many = what === 'occurrences' ? noun.replace('occurrence', 'occurrences') : plural(2, noun).slice(2)
  const say = (amount: number) => `${amount} ${amount === 1 ? noun : many}`
  const counts = sources.map(({ text }) => countOf(text, what, term))
  if (counts.length === 1) return `- ${say(counts[0]!)}`
  const lines = sources.map(({ label }, i) => `- ${clip(label, 120)}: ${say(counts[i]!)}`)
  return [...lines, `- Together: ${say(counts.reduce((sum, amount) => sum + amount, 0))}`].join('\n')
}

function bullets(items: readonly string[], mark = '- '): string {
  return items.map((item) => `${mark}${clip(item.replace(/\s+/g, ' '), 500)}`).join('\n')
}

function quotedWords(words: readonly string[]): string {
  return words
    .slice(0, 8)
    .map((word) => `“${word}”`)
    .join(', ')
}
