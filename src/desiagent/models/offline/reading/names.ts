import { trimUrl } from '../text/finds.ts'

/** A piece of a goal that is named, not said: a quotation, an address, a file. */
export interface Span {
  start: number
  end: number
  /** Without quotation marks. */
  text: string
}

// Each alternative stops at the next mark of its own kind, so unpaired marks cost one look each. A mark right behind a
// digit is an inch.
const QUOTES = /(?<!\d)"[^"]*"|“[^“”]*”|«[^«»]*»|`[^`]*`|(?<![\p{L}\p{N}])'[^'\n]+'(?![\p{L}\p{N}])/gu
const URLS = /https?:\/\/[^\s<>"'`|]+/gi
const FILE =
  /^(?:\.\/)?[\p{L}\p{N}_][\p{L}\p{N}_.\-/+@]*\.(?:md|markdown|txt|text|csv|tsv|json|jsonl|html?|xml|ya?ml|log|pdf|docx?|odt|xlsx?|rtf|rst|tex|eml|srt|vtt|ini|toml|sql)$/iu

export function quotedSpans(text: string): Span[] {
  return [...text.matchAll(QUOTES)].map((match) => span(match.index, match[0], match[0].slice(1, -1)))
}

export function urlSpans(text: string): Span[] {
  return [...text.matchAll(URLS)].map((match) => {
    const url = trimUrl(match[0])
    return span(match.index, url, url)
  })
}

/** Names of files: those in `known` wherever they stand (they may hold spaces), others by their ending. */
export function fileSpans(text: string, known: readonly string[]): Span[] {
  const spans = known.flatMap((name) => occurrencesOf(text, name))
  for (const match of text.matchAll(/[^\s"'`“”«»,;:()<>]+/g)) {
    if (match[0].length > 255) continue
    const name = match[0].replace(/[.!?]{1,3}$/, '')
    const found = span(match.index, name, name)
    if (FILE.test(name) && !spans.some((other) => overlaps(other, found))) spans.push(found)
  }
  return spans.sort((a, b) => a.start - b.start)
}

/** The text with these pieces blanked out, character for character, so that places in it stay the same. */
export function mask(text: string, spans: readonly Span[]): string {
  let masked = ''
  let at = 0
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start < at) continue
    masked += text.slice(at, start) + '□'.repeat(end - start)
    at = end
  }
  return masked + text.slice(at)
}

/** A clause in lower case with everything named blanked out: "summary.md" does not ask for a summary. */
export function saidWords(text: string, known: readonly string[]): string {
  return lowerAscii(mask(text, [...quotedSpans(text), ...urlSpans(text), ...fileSpans(text, known)]))
}

/** Unlike `toLowerCase` it keeps every character in its place ("İ" would become two). */
export function lowerAscii(text: string): string {
  return text.replace(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function occurrencesOf(text: string, name: string): Span[] {
  const spans: Span[] = []
  if (name === '') return spans
  const haystack = lowerAscii(text)
  const needle = lowerAscii(name)
  for (let at = haystack.indexOf(needle); at >= 0; at = haystack.indexOf(needle, at + needle.length)) {
    const isWhole =
      !/[\p{L}\p{N}_/]/u.test(text[at - 1] ?? '') && !/[\p{L}\p{N}_]/u.test(text[at + needle.length] ?? '')
    if (isWhole) spans.push({ start: at, end: at + needle.length, text: name })
  }
  return spans
}

function span(start: number, whole: string, text: string): Span {
  return { start, end: start + whole.length, text }
}

function overlaps(a: Span, b: Span): boolean {
  return a.start < b.end && b.start < a.end
}
