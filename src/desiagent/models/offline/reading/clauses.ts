import { fileSpans, mask, quotedSpans, urlSpans } from './names.ts'
import { leadLength, openingVerb } from './verbs.ts'

interface Fragment {
  start: number
  end: number
  verb: string | null
  /** Opened by a sentence's end or a line break, not by a comma or "and". */
  isOwnSentence: boolean
}

// A dot ends a sentence only before a space; what is quoted, and names of files and pages, are blanked out before.
// The look behind keeps a long run of dots from being tried from each of its dots.
const BREAKS = /(?<![.!?])[.!?]+(?=\s|$)|\n|;|[,:](?=\s)|(?<=\s)(?:and|then|&)(?=\s)/gi

/** "Do the following" announces the clauses behind it and asks nothing itself. */
const ANNOUNCEMENT = /^do (?:the following(?: (?:things|steps|tasks))?|(?:these|this|the) ?(?:things|steps|tasks)?)$/i
const WRITING = new Set(['write', 'save', 'store', 'export', 'create', 'put', 'make', 'append', 'combine', 'merge'])

/**
 * What a goal asks, one piece for each thing to do, in its own words. A comma or "and" parts two pieces only where a verb
 * follows: "list the dates and the names" stays one. Sentences that ask nothing are left out when others ask something.
 */
export function clausesOf(goal: string, known: readonly string[]): string[] {
  const fragments = merge(fragmentsOf(goal, known))
  const asking = fragments.filter(({ verb }) => verb !== null)
  const clauses = (asking.length > 0 ? asking : fragments).map((fragment) => ({
    ...fragment,
    text: clean(goal, fragment),
  }))
  return clauses
    .map(({ text, verb }, i) => withObject(text, verb, clauses[i + 1]))
    .filter((text, _, texts) => /[\p{L}\p{N}]/u.test(text) && !(texts.length > 1 && ANNOUNCEMENT.test(text)))
}

function fragmentsOf(goal: string, known: readonly string[]): Fragment[] {
  const masked = mask(goal, [...quotedSpans(goal), ...urlSpans(goal), ...fileSpans(goal, known)])
  const fragments: Fragment[] = []
  let start = 0
  let isOwnSentence = true
  const add = (end: number) => {
    const text = masked.slice(start, end)
    if (/[\p{L}\p{N}□]/u.test(text))
      fragments.push({ start, end, isOwnSentence, verb: openingVerb(text, isOwnSentence) })
  }
  for (const match of masked.matchAll(BREAKS)) {
    const isHard = /[.!?;\n]/.test(match[0])
    // "1." opens a list's line: it is no sentence of its own.
    if (isHard && /^\s*\(?\d{1,3}$/.test(masked.slice(start, match.index).slice(-8)) && match[0] === '.') continue
    add(match.index)
    if (/[\p{L}\p{N}□]/u.test(masked.slice(start, match.index)) || isHard) isOwnSentence = isHard
    start = match.index + match[0].length
  }
  add(goal.length)
  return fragments
}

/** A piece without a verb belongs to the one before it; at a sentence's start, to the one behind it. */
function merge(fragments: readonly Fragment[]): Fragment[] {
  const merged: Fragment[] = []
  for (const fragment of fragments) {
    const last = merged.at(-1)
    const continues = last !== undefined && !fragment.isOwnSentence && (fragment.verb === null || last.verb === null)
    if (continues) merged[merged.length - 1] = { ...last, end: fragment.end, verb: last.verb ?? fragment.verb }
    else merged.push(fragment)
  }
  return merged
}

function clean(goal: string, { start, end }: Fragment): string {
  const text = goal.slice(start, end)
  return text
    .slice(leadLength(text))
    .replace(/[\s,;:]{1,50}$/, '')
    .trim()
}

/** "list and count the headings": the first verb has the second one's object. */
function withObject(
  text: string,
  verb: string | null,
  next: { text: string; verb: string | null } | undefined,
): string {
  if (verb === null || text.toLowerCase() !== verb || next?.verb == null || WRITING.has(next.verb)) return text
  const object = next.text.slice(next.verb.length).trim()
  return object === '' ? text : `${text} ${object}`
}
