import { fileSpans, lowerAscii, mask, quotedSpans, type Span, urlSpans } from './names.ts'
import { leadLength } from './verbs.ts'

/** A file a clause wants written, and what it wants in it, in its own words ("the summary"). */
export interface Output {
  path: string
  object: string
}

const WRITES = /^(?:write|save|store|export|put|output|record|append|create|make|generate|produce|copy|print)\b/
const INTO =
  /\b(?:to|into|as|called|named)\s+(?:(?:a|the|an|new|markdown|text)\s+){0,3}(?:file\s+)?(?:(?:called|named)\s+)?[“"'`]?$/
const IN = /\b(?:in|file)\s+(?:(?:a|the|new)\s+){0,2}(?:file\s+)?(?:(?:called|named)\s+)?[“"'`]?$/
const UNNAMED = /\b(?:to|into|in|as) (?:a|another|one|its own|a new|a markdown|a text)? ?file\b/

/** The files to write, in order; the words between one file and the next say what goes into the next. */
export function outputsOf(clause: string, known: readonly string[]): Output[] {
  const start = leadLength(clause)
  const isWriting = WRITES.test(lowerAscii(clause.slice(start)))
  const outputs: Output[] = []
  let at = start
  for (const { start, end, text } of fileSpans(clause, known)) {
    const before = lowerAscii(clause.slice(at, start))
    if (!isOutput(before, isWriting, text, known)) continue
    outputs.push({ path: text, object: objectOf(before) })
    at = end
  }
  if (outputs.length > 0 || !isWriting) return outputs
  const said = lowerAscii(mask(clause, [...quotedSpans(clause), ...urlSpans(clause)]))
  const unnamed = UNNAMED.exec(said)
  return unnamed === null ? [] : [{ path: 'result.md', object: objectOf(said.slice(start, unnamed.index + 2)) }]
}

/** The files a clause reads: all it names that it does not write. */
export function sourceSpans(clause: string, known: readonly string[]): Span[] {
  const written = new Set(outputsOf(clause, known).map(({ path }) => path))
  return fileSpans(clause, known).filter(({ text }) => !written.has(text))
}

function isOutput(before: string, isWriting: boolean, path: string, known: readonly string[]): boolean {
  const tail = before.slice(-80)
  if (isWriting)
    return (
      INTO.test(tail) ||
      (IN.test(tail) && !known.includes(path)) ||
      /^(?:write|create|make|generate|produce|save) $/.test(before)
    )
  return INTO.test(tail) && !known.includes(path)
}

function objectOf(before: string): string {
  return before
    .replace(WRITES, '')
    .replace(
      /\b(?:to|into|as|in|called|named|file)(?:\s+(?:a|the|an|new|markdown|text|file|called|named)){0,4}\s*[“"'`]?$/,
      '',
    )
    .replace(/^[\s,;]*(?:and|then)?\s/, '')
    .trim()
}
