/** The pieces of a Markdown text that matter for reading it. Code, tables' rules, front matter and comments are told apart. */
export type Block =
  | { kind: 'heading'; level: number; text: string }
  | { kind: 'item'; text: string; isDone: boolean | null }
  | { kind: 'paragraph'; text: string }
  | { kind: 'row'; cells: string[] }
  | { kind: 'code'; text: string }

const ITEM = /^\s*(?:[-*+•]|\d{1,4}[.)])\s+(?:\[([ xX])\](?:\s+|$))?(.*)$/
const HEADING = /^ {0,3}(#{1,6})(?:[ \t]+(.*))?$/

/** Line by line, so the time it takes grows with the text and not faster. Plain text is Markdown with paragraphs only. */
export function blocksOf(text: string): Block[] {
  const lines = withoutFrontMatter(text.split(/\r?\n/))
  const blocks: Block[] = []
  let open: { kind: 'paragraph' | 'item'; lines: string[]; isDone: boolean | null } | null = null

  const close = () => {
    if (open === null) return
    const text = plainText(open.lines.join(' ')).trim()
    if (open.kind === 'paragraph' && text !== '') blocks.push({ kind: 'paragraph', text })
    if (open.kind === 'item' && text !== '') blocks.push({ kind: 'item', text, isDone: open.isDone })
    open = null
  }

  for (let i = 0; i < lines.length; i += 1) {
    const line = lines[i]!
    const fence = /^\s*(```|~~~)/.exec(line)?.[1]
    const heading = HEADING.exec(line)
    const item = ITEM.exec(line)
    if (fence !== undefined) {
      close()
      const end = indexOfLine(lines, i + 1, (other) => other.trim().startsWith(fence))
      blocks.push({ kind: 'code', text: lines.slice(i + 1, end).join('\n') })
      i = end
    } else if (line.trim().startsWith('<!--')) {
      close()
      i = indexOfLine(lines, i, (other) => other.includes('-->'))
    } else if (heading !== null) {
      close()
      blocks.push({ kind: 'heading', level: heading[1]!.length, text: headingText(heading[2] ?? '') })
    } else if (isUnderline(line) && open !== null && open.kind === 'paragraph' && open.lines.length === 1) {
      const text = plainText(open.lines[0]!).trim()
      open = null
      blocks.push({ kind: 'heading', level: line.trim().startsWith('=') ? 1 : 2, text })
    } else if (line.trim() === '' || isRule(line)) {
      close()
    } else if (line.trim().startsWith('|')) {
      close()
      const cells = line
        .trim()
        .split('|')
        .slice(1, line.trim().endsWith('|') ? -1 : undefined)
        .map((cell) => plainText(cell).trim())
      if (cells.some((cell) => /[^\s:-]/.test(cell))) blocks.push({ kind: 'row', cells })
    } else if (item !== null) {
      close()
      open = { kind: 'item', lines: [item[2]!], isDone: item[1] === undefined ? null : item[1] !== ' ' }
    } else if (open !== null) {
      open.lines.push(withoutQuoteMark(line))
    } else {
      open = { kind: 'paragraph', lines: [withoutQuoteMark(line)], isDone: null }
    }
  }
  close()
  return blocks
}

/** Inline marks taken off; a link keeps its words. */
export function plainText(markdown: string): string {
  return markdown
    .replace(/!?\[([^[\]]*)\]\([^()\s]*(?:\s"[^"\n()]*")?\)/g, '$1')
    .replace(/(\*\*|__|`)/g, '')
    .replace(/(?<![\p{L}\p{N}*])\*(?=[^\s*])|(?<=[^\s*])\*(?![\p{L}\p{N}*])/gu, '')
}

function headingText(text: string): string {
  const trimmed = text.trim()
  let end = trimmed.length
  while (end > 0 && trimmed[end - 1] === '#') end -= 1
  // "C#" keeps its mark: closing marks stand apart.
  const isClosed = end < trimmed.length && (end === 0 || trimmed[end - 1] === ' ')
  return plainText(isClosed ? trimmed.slice(0, end) : trimmed).trim()
}

function withoutFrontMatter(lines: string[]): string[] {
  if (lines[0]?.trim() !== '---') return lines
  const end = lines.findIndex((line, i) => i > 0 && line.trim() === '---')
  const looksLikeYaml =
    end > 0 && lines.slice(1, end).every((line) => line.trim() === '' || /^(?:\s|-|#|[\w-]+\s*:)/.test(line))
  return looksLikeYaml ? lines.slice(end + 1) : lines
}

/** An open fence or comment reaches to the end. */
function indexOfLine(lines: string[], from: number, matches: (line: string) => boolean): number {
  for (let i = from; i < lines.length; i += 1) if (matches(lines[i]!)) return i
  return lines.length
}

function isUnderline(line: string): boolean {
  return /^ {0,3}(?:={2,}|-{2,})\s*$/.test(line)
}

function isRule(line: string): boolean {
  return /^ {0,3}(?:-[ \t]*){3,}$|^ {0,3}(?:\*[ \t]*){3,}$|^ {0,3}(?:_[ \t]*){3,}$|^={3,}\s*$/.test(line)
}

function withoutQuoteMark(line: string): string {
  return line.trim().replace(/^(?:>\s?)+/, '')
}
