// Their content is no text; it ends at the closing tag of the same name, whatever is in between.
const RAW = /<(script|style|noscript|template|svg|head|title)\b/iy
const BLOCK = /<\/?(p|div|br|li|ul|ol|tr|table|h[1-6]|section|article|header|footer|pre|blockquote|dt|dd)\b/iy
const ENTITIES: Record<string, string> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'", nbsp: ' ' }

/** The text between the tags, in one pass and constant depth: for pages that are too broken to be read as a tree. */
export function stripTags(html: string): string {
  const parts: string[] = []
  let at = 0
  while (at < html.length) {
    const tag = html.indexOf('<', at)
    const end = tag === -1 ? html.length : tag
    parts.push(html.slice(at, end))
    if (matchesAt(BLOCK, html, end)) parts.push('\n')
    at = tag === -1 ? html.length : endOfTag(html, tag)
  }
  return collapse(decodeEntities(parts.join('')))
}

function endOfTag(html: string, start: number): number {
  if (html.startsWith('<!--', start)) return after(html, '-->', start + 4)
  const raw = matchesAt(RAW, html, start)
  if (!raw) return after(html, '>', start)
  const closing = new RegExp(`</${raw[1]}\\b[^>]*>?`, 'gi')
  closing.lastIndex = start
  return closing.exec(html) ? closing.lastIndex : html.length
}

function after(html: string, end: string, from: number): number {
  const at = html.indexOf(end, from)
  return at === -1 ? html.length : at + end.length
}

function matchesAt(pattern: RegExp, html: string, at: number): RegExpExecArray | null {
  pattern.lastIndex = at
  return pattern.exec(html)
}

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|(amp|lt|gt|quot|apos|nbsp));?/gi, (_all, decimal, hex, name) => {
    if (name) return ENTITIES[name.toLowerCase()] ?? ''
    const code = decimal ? Number(decimal) : Number.parseInt(hex, 16)
    return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '\ufffd'
  })
}

function collapse(text: string): string {
  return text
    .replace(/[^\S\n]+/g, ' ')
    .replace(/ ?\n[\s]*/g, '\n')
    .trim()
}
