// Deeper lists keep their marks but are not indented further: a nest of them would grow each line.
const MAX_INDENT = 12

export interface MarkdownWriter {
  /** Running text; white space collapses as in a browser. */
  words(text: string): void
  /** Ends the line (1) or the paragraph (2). Nothing at the start, and never more than one empty line. */
  breakLines(count: 1 | 2): void
  /** A code block, kept as it is. */
  code(text: string): void
  /** Puts `mark` before the first line that `write` writes and `rest` before the others. */
  indent(mark: string, rest: string, write: () => void): void
  /** Keeps all that `write` writes on the same line. */
  onOneLine(write: () => void): void
  text(): string
}

/** Collects Markdown piece by piece, in one pass over the page. */
export function markdownWriter(): MarkdownWriter {
  const parts: string[] = []
  let breaks = 0
  let hasSpace = false
  let prefix = ''
  let firstPrefix: string | null = null // replaces `prefix` once, for the line with the mark
  let oneLine = 0

  /** Writes what separates the next text from the last one. */
  function open(): void {
    if (parts.length === 0 || breaks > 0) {
      parts.push('\n'.repeat(parts.length === 0 ? 0 : breaks), firstPrefix ?? prefix)
      firstPrefix = null
    } else if (hasSpace) {
      parts.push(' ')
    }
    breaks = 0
    hasSpace = false
  }

  function words(text: string): void {
    const collapsed = text.replace(/\s+/g, ' ')
    const trimmed = collapsed.trim()
    if (collapsed.startsWith(' ')) hasSpace = true
    if (trimmed === '') return
    open()
    parts.push(trimmed)
    hasSpace = collapsed.endsWith(' ')
  }

  function breakLines(count: 1 | 2): void {
    if (oneLine > 0) hasSpace = true
    else breaks = Math.max(breaks, count)
  }

  function code(text: string): void {
    if (oneLine > 0) {
      words(text)
      return
    }
    const fence = text.includes('```') ? '````' : '```'
    breakLines(2)
    open()
    parts.push([fence, ...text.split('\n'), fence].join(`\n${prefix}`))
    breakLines(2)
  }

  function indent(mark: string, rest: string, write: () => void): void {
    const outer = { prefix, firstPrefix }
    const start = firstPrefix ?? prefix
    firstPrefix = start.length < MAX_INDENT ? start + mark : start
    if (prefix.length < MAX_INDENT) prefix += rest
    write()
    prefix = outer.prefix
    if (firstPrefix !== null) firstPrefix = outer.firstPrefix // nothing was written: the outer mark still waits
  }

  function onOneLine(write: () => void): void {
    oneLine++
    write()
    oneLine--
  }

  return { words, breakLines, code, indent, onOneLine, text: () => parts.join('') }
}
