import { fileSpans, lowerAscii, mask, quotedSpans, type Span, urlSpans } from './names.ts'
import { isQuestionWord, openingVerb } from './verbs.ts'

export interface Request {
  instruction: string
  /** The text the request brings along; null when it brings none. */
  material: string | null
}

const OPEN = '<material>\n'
const CLOSE = '\n</material>'

/** "this", "the following text": what comes behind it is text to work on, whatever it says. */
const CUE =
  /(?:^|\s)(?:this|these|that|following|below|here|text|paragraph|passage|article|notes?|sentences?|e-?mail|message|document|transcript|minutes|lines|words|list|letter|content|log)(?: \([^()\n]{0,40}\))?$/
const STEPS =
  /(?:^|\s)(?:do|do this|do these|do the following|these things|steps?|tasks?|following things|to do|goals?)$/

/** A prompt that carries its text in a tag of its own. */
export function withMaterial(instruction: string, material: string | null): string {
  return material === null ? instruction : `${instruction}\n\n${OPEN}${material}${CLOSE}`
}

/** Parts what is asked from the text it is asked about: in our tag, a fence, quotation marks, or behind a colon. */
export function separateMaterial(text: string, known: readonly string[]): Request {
  return fromTag(text) ?? fromFence(text) ?? fromColon(text, known) ?? fromParagraphs(text, known) ?? fromQuotes(text)
}

export function hasTaggedMaterial(text: string): boolean {
  return fromTag(text) !== null
}

function fromTag(text: string): Request | null {
  const start = text.indexOf(OPEN)
  const end = text.lastIndexOf(CLOSE)
  if (start < 0 || end < start + OPEN.length - 1) return null
  return request(text.slice(0, start), text.slice(end + CLOSE.length), text.slice(start + OPEN.length, end))
}

function fromFence(text: string): Request | null {
  const start = text.indexOf('```')
  const end = text.lastIndexOf('```')
  const bodyAt = text.indexOf('\n', start)
  if (start < 0 || bodyAt < 0 || end <= bodyAt) return null
  return request(text.slice(0, start), text.slice(end + 3), text.slice(bodyAt + 1, end))
}

function fromColon(text: string, known: readonly string[]): Request | null {
  const masked = mask(text, [...quotedSpans(text), ...urlSpans(text)])
  for (const { index } of [...masked.slice(0, 2_000).matchAll(/:(?=\s)/g)].slice(0, 20)) {
    const head = text.slice(0, index)
    const rest = text.slice(index + 1).trim()
    if (rest === '') return null
    const quoted = /^["“«`']/.test(rest) ? quotedSpans(rest)[0] : undefined
    if (quoted?.start === 0 && opensMaterial(head, quoted.text, known))
      return request(head, rest.slice(quoted.end), quoted.text)
    if (opensMaterial(head, rest, known)) return withTrailingInstruction(head, rest)
  }
  return null
}

function opensMaterial(head: string, rest: string, known: readonly string[]): boolean {
  const sentence = head
    .split(/[.!?;\n]\s/)
    .at(-1)!
    .trim()
  const said = lowerAscii(sentence).slice(-80)
  if (STEPS.test(said)) return false
  if (CUE.test(said)) return true
  if (fileSpans(sentence, known).length > 0 || urlSpans(sentence).length > 0) return false
  return openingVerb(sentence, true) !== null && openingVerb(rest, true) === null
}

/** "Here are my notes: … Summarise them.": the last paragraph asks, if nothing before the text did or it says "then". */
function withTrailingInstruction(head: string, rest: string): Request {
  const lastBreak = rest.lastIndexOf('\n\n')
  const last = lastBreak < 0 ? '' : rest.slice(lastBreak).trim()
  const verb = last.length < 300 && !/\n|^[-*#>|]/.test(last) ? openingVerb(last, true) : null
  const isAsked = verb !== null && !isQuestionWord(verb)
  const isWanted = openingVerb(head, true) === null || /^(?:then|finally|also|please|now)\b/i.test(last)
  if (isAsked && isWanted) return request(head, last, rest.slice(0, lastBreak))
  return request(head, '', rest)
}

/** A first line that asks, then a text that does not. */
function fromParagraphs(text: string, known: readonly string[]): Request | null {
  const trimmed = text.trim()
  const lineEnd = trimmed.indexOf('\n')
  if (lineEnd < 0) return null
  const line = trimmed.slice(0, lineEnd).replace(/[.!:\s]{1,20}$/, '')
  const rest = trimmed.slice(lineEnd).trim()
  if (openingVerb(line, true) === null || openingVerb(rest, true) !== null) return null
  const namesSource = fileSpans(line, known).length > 0 || urlSpans(line).length > 0
  const isCued = CUE.test(lowerAscii(line).slice(-80))
  return isCued || (!namesSource && rest.length > 200) ? request(line, '', rest) : null
}

const TERM_BEFORE =
  /(?:contain|mention|with|say|includ|occurrences? of|mentions? of|called|named|titled|word|term|phrase|name)\w{0,4}\s+(?:the\s+)?(?:text\s+|word\s+|phrase\s+|sentence\s+)?$/
const TEXT_BEFORE =
  /(?:^|\s)(?:in|from|within|words of|characters of|letters of|sentences of|sentence|text|passage|paragraph|summari[sz]e|shorten|condense|outline|translate)\s*:?\s*$/

/** A long quotation is text to work on; a short one is a term to look for, unless the words before it say otherwise. */
function fromQuotes(text: string): Request {
  const spans = quotedSpans(text).filter((span) => isText(text, span))
  if (spans.length === 0) return { instruction: text.trim(), material: null }
  let instruction = ''
  let at = 0
  for (const { start, end } of spans) {
    instruction += `${text.slice(at, start)}the text`
    at = end
  }
  return {
    instruction: (instruction + text.slice(at)).trim(),
    material: spans.map((span) => span.text.trim()).join('\n\n'),
  }
}

function isText(text: string, { start, text: quoted }: Span): boolean {
  const before = lowerAscii(text.slice(Math.max(0, start - 60), start))
  if (!/[\p{L}\p{N}]/u.test(quoted) || TERM_BEFORE.test(before) || fileSpans(quoted, []).length > 0) return false
  return TEXT_BEFORE.test(before) || quoted.split(/\s+/).length >= 6
}

function request(before: string, behind: string, material: string): Request {
  const said = before.trim()
  const head = said.endsWith(':') ? said.slice(0, -1).trim() : said
  const tail = behind.trim().replace(/^[.,;]\s*/, '')
  const joint = /^(?:and|then|,)/i.test(tail) ? ' ' : '\n'
  return { instruction: [head, tail].filter((part) => part !== '').join(joint), material: material.trim() }
}
