import type { Countable } from '../text/counts.ts'
import { isContentWord, wordsOf } from '../text/words.ts'
import { quotedSpans, saidWords } from './names.ts'
import { isQuestionWord, isVerb, leadLength, openingVerb } from './verbs.ts'

export type Listable = 'headings' | 'actionItems' | 'questions' | 'links' | 'dates' | 'numbers' | 'names' | 'emails'

/** One thing to do to a text. A clause may ask for several: "list the dates and the links". */
export type Job =
  | { kind: 'summarise' | 'keyPoints' | 'keySentences'; size: number | null }
  | { kind: 'outline' | 'overview' | 'combine' }
  | { kind: 'list'; what: Listable }
  | { kind: 'count'; what: Countable; term: string }
  | { kind: 'mentions'; term: string }
  | { kind: 'topic' | 'ask'; words: string[] }
  /** `what` completes "I cannot …". */
  | { kind: 'cannot'; what: string }

type Cue = Listable | Countable | 'listing' | 'counting' | 'summarise' | 'keyPoints' | 'keySentences' | 'outline'

const CUES: readonly [Cue, string][] = [
  ['keySentences', '(?:key|main|important|central|most important) sentences'],
  [
    'keyPoints',
    '(?:key|main|important) (?:points?|ideas?|facts|messages|findings)|takeaways?|take-aways?|highlights|bullet points|bullets',
  ],
  [
    'summarise',
    'summar(?:i[sz]e[sd]?|i[sz]ing|y|ies)|shorten(?:ed)?|shorter|condensed?|abridged?|recap|sum up|tl;?dr|digest|gist|shrink',
  ],
  ['outline', 'outlined?|table of contents|structure'],
  ['counting', 'count(?:ing)?|tally|how many|how often|number of'],
  ['occurrences', 'occurrences?|mentions of|times'],
  [
    'actionItems',
    'action[ -]?items?|action points?|actions|to-?dos?|to do(?: items?| list)|tasks?|next steps?|follow-?ups?',
  ],
  ['headings', 'headings?|headlines?|sections|section titles|chapters|titles'],
  ['questions', 'questions?'],
  ['links', 'links?|urls?|hyperlinks?|web addresses'],
  ['dates', 'dates?|deadlines?'],
  ['emails', 'e-?mail addresses|emails'],
  ['names', 'names|people|persons|participants|attendees'],
  ['words', 'words|word(?= counts?)'],
  ['characters', 'characters|letters|character(?= counts?)'],
  ['lines', 'lines|line(?= counts?)'],
  ['sentences', 'sentences|sentence(?= counts?)'],
  ['paragraphs', 'paragraphs'],
  ['numbers', 'numbers|figures|amounts|statistics'],
  ['listing', 'list(?:ing)?|extract|find|show|identify|give|collect|get|pull|search'],
]
const CUE_PATTERN = new RegExp(
  `(?<![\\p{L}\\p{N}-])(?:${CUES.map(([, source]) => `(${source})`).join('|')})(?![\\p{L}\\p{N}-])`,
  'gu',
)

const ONLY_COUNTED: ReadonlySet<Cue> = new Set(['words', 'characters', 'lines', 'sentences', 'paragraphs'])
const LISTED: ReadonlySet<Cue> = new Set([
  'headings',
  'actionItems',
  'questions',
  'links',
  'dates',
  'numbers',
  'names',
  'emails',
])

/** "Write a letter to these people" asks for no list of names. */
const SELDOM_MEANT: ReadonlySet<Cue> = new Set(['names', 'numbers', 'emails'])

/** "of the summary", "in the list": what an earlier step made, not what this clause asks for. */
const EARLIER_RESULT =
  /\b(?:of|in|from|on|with|using) (?:the|this|that|these|those|your|its|both) (?:summary|summaries|outline|list|results?|digest|highlights)\b/g

const CANNOT: readonly [RegExp, string][] = [
  [
    /^(?:translate)\b|\b(?:translation|translated|in(?:to)? (?:french|german|spanish|italian|english|dutch|portuguese|chinese|japanese|polish|arabic|russian|swedish))\b/,
    'translate',
  ],
  [/^(?:compare|contrast)\b/, 'compare texts the way a reader does'],
  [/^(?:rewrite|rephrase|paraphrase|improve|fix|proofread|convert|turn)\b/, 'rewrite text'],
  [/^(?:send|book|schedule|email|call|remind)\b/, 'act outside this text'],
  [/^(?:plan|suggest|recommend|propose|brainstorm|decide|choose|predict|solve)\b/, 'plan or advise from knowledge'],
  // Last, and only when no noun says more: "write a summary" can be done.
  [
    /^(?:write|create|generate|make|compose|draft|produce|build|develop|design|imagine|invent|prepare)\b/,
    'write new prose',
  ],
]
const OVERVIEW = /^(?:analy[sz]e|examine|describe|explain|review|evaluate|check|research|study|report)\b/
const COMBINE = /^(?:combine|merge|join|put (?:it|them|this|these|everything|all|the results?|both)|bring together)\b/
const READ = /^(?:read|open|load|fetch|download|visit|browse|crawl|scrape|retrieve|take|use|using|look|go|get)\b/

/** What a clause asks for, by its verbs and nouns; never empty. */
export function jobsOf(clause: string, known: readonly string[] = []): Job[] {
  const said = saidWords(clause, known).replace(EARLIER_RESULT, ' ')
  const asked = said.slice(leadLength(said))
  if (COMBINE.test(asked)) return [{ kind: 'combine' }]
  const blocked = CANNOT.slice(0, -1).find(([pattern]) => pattern.test(asked))
  if (blocked !== undefined && !/\b(?:shorter|summary|bullets?|bullet points)\b/.test(asked))
    return [{ kind: 'cannot', what: blocked[1] }]
  const jobs = jobsByCue(asked, clause)
  return jobs.length > 0 ? jobs : [otherJob(asked, clause)]
}

/** Fetching and reading alone: the text itself is what is wanted. */
export function onlyReads(clause: string, known: readonly string[]): boolean {
  const said = saidWords(clause, known)
  const asked = said.slice(leadLength(said))
  return READ.test(asked) && ['topic', 'cannot'].includes(jobsOf(clause, known)[0]!.kind)
}

export function needsText(job: Job): boolean {
  return !['topic', 'ask', 'cannot', 'overview'].includes(job.kind)
}

/** What the clause is about once its verbs, its targets and words for "a text" are taken away. */
export function subjectWords(clause: string, known: readonly string[]): string[] {
  const said = saidWords(clause, known).replace(CUE_PATTERN, ' ')
  return wordsOf(said).filter(
    (word) => isContentWord(word) && !isVerb(word) && !TEXT_WORDS.has(word) && !/^\d+$/.test(word),
  )
}

export const TEXT_NOUNS =
  'text|texts|document|documents|doc|file|files|page|pages|article|articles|notes?|meeting|email|mail|message|messages|report|transcript|minutes|paper|attachment|attachments|content|contents|website|site|blog|post|letter|memo|log|conversation|chat|thread|paragraph|passage|input|inputs|material'
const TEXT_WORDS = new Set([
  ...TEXT_NOUNS.replace('notes?', 'note|notes').split('|'),
  ...'short long brief briefly concise sentence sentences paragraph word line three two one four five six seven eight nine ten point points item items total exact following given attached open key main important most version markdown form bullet say says said mention mentions mentioned written thing things something stuff result results out up all everything'.split(
    ' ',
  ),
])

function jobsByCue(asked: string, clause: string): Job[] {
  const jobs: Job[] = []
  const term = termOf(clause)
  const size = sizeOf(asked)
  const isMaking = CANNOT.at(-1)![0].test(asked)
  let mode: 'counting' | 'listing' | 'summarise' | null = null
  for (const match of asked.matchAll(CUE_PATTERN)) {
    const cue = CUES[match.slice(1).findIndex((group) => group !== undefined)]![0]
    const isCounted = mode === 'counting' || /^ counts?\b/.test(asked.slice(match.index + match[0].length).slice(0, 8))
    if (cue === 'counting' || cue === 'listing') mode = cue
    else if (cue === 'summarise' || cue === 'keyPoints' || cue === 'keySentences')
      [mode] = ['summarise', jobs.push({ kind: cue, size })]
    else if (cue === 'outline') jobs.push({ kind: 'outline' })
    else if (cue === 'occurrences')
      jobs.push(...(term !== null && mode !== 'summarise' ? [{ kind: 'count', what: cue, term } as const] : []))
    else if (isCounted) jobs.push({ kind: 'count', what: cue as Countable, term: '' })
    else if (
      LISTED.has(cue) &&
      !(isMaking && mode === null && SELDOM_MEANT.has(cue)) &&
      !(mode === 'summarise' && cue === 'numbers')
    )
      jobs.push({ kind: 'list', what: cue as Listable })
    else if (ONLY_COUNTED.has(cue) && mode === 'listing' && term !== null) jobs.push({ kind: 'mentions', term })
  }
  if (jobs.length === 0 && /^(?:count|tally|how often|how many times)\b/.test(asked)) return countDefaults(term)
  if (jobs.length === 0 && mode === 'listing' && term !== null) return [{ kind: 'mentions', term }]
  return distinct(isAboutTerm(asked, term) ? jobs.filter(({ kind }) => kind === 'count').slice(-1) : jobs)
}

/** "Count the lines with "error"" and the like count the term, not the lines of the whole text. */
function isAboutTerm(asked: string, term: string | null): boolean {
  return term !== null && /\b(?:occurrences?|mentions of|how often|how many times)\b/.test(asked)
}

function countDefaults(term: string | null): Job[] {
  if (term !== null) return [{ kind: 'count', what: 'occurrences', term }]
  return (['words', 'lines', 'sentences'] as const).map((what) => ({ kind: 'count', what, term: '' }))
}

function otherJob(asked: string, clause: string): Job {
  const words = [...new Set(subjectWords(clause, []))]
  const verb = openingVerb(asked, true)
  if (OVERVIEW.test(asked)) return { kind: 'overview' }
  if ((verb !== null && isQuestionWord(verb)) || asked.trim().endsWith('?')) return { kind: 'ask', words }
  if (/^(?:tell|answer)\b/.test(asked)) return { kind: 'ask', words }
  const blocked = CANNOT.find(([pattern]) => pattern.test(asked))
  if (blocked !== undefined) return { kind: 'cannot', what: blocked[1] }
  if (verb !== null && words.length > 0) return { kind: 'topic', words }
  return { kind: 'cannot', what: 'tell what this asks for, beyond its words' }
}

/** A quoted term first; else the word behind "the word", "occurrences of", "mentioning". */
function termOf(clause: string): string | null {
  const quoted = quotedSpans(clause)[0]?.text.trim()
  if (quoted !== undefined && quoted !== '') return quoted
  const named =
    /\b(?:the (?:word|term|phrase|name)|occurrences? of|mentions? of|mentioning|mentions?|containing|contains?|about|times (?:does|do|is|are))\s+(?:the\s+)?(?:(?:word|term|phrase|name)\s+)?([\p{L}\p{N}][\p{L}\p{N}'’-]*)/iu
  const word = named.exec(clause)?.[1]
  return word !== undefined && isContentWord(word.toLowerCase()) ? word : null
}

const NUMBER_WORDS = 'one two three four five six seven eight nine ten'.split(' ')

/** "in 3 sentences", "five key points", "one paragraph" asks for no number of sentences. */
function sizeOf(asked: string): number | null {
  const match =
    /\b(\d{1,2}|one|two|three|four|five|six|seven|eight|nine|ten)[ -](?:(?:key|main|short|important|most important) )?(?:sentences?|points?|bullets?|bullet points?|lines?|takeaways?|ideas|facts)\b/.exec(
      asked,
    )
  if (match === null) return null
  const size = /\d/.test(match[1]!) ? Number(match[1]) : NUMBER_WORDS.indexOf(match[1]!) + 1
  return Math.min(50, Math.max(1, size))
}

function distinct(jobs: Job[]): Job[] {
  return [...new Map(jobs.map((job) => [JSON.stringify(job), job])).values()]
}
