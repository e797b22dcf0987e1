import { type MarkdownWriter, markdownWriter } from './markdown-writer.ts'
import type { PageElement, PageNode } from './page-dom.ts'

interface Rendering {
  out: MarkdownWriter
  baseUrl: string
}

const ELEMENT = 1
const TEXT = 3
const CONTAINERS = new Set([9, 11]) // documents and fragments

const UNREAD = words(
  'head title script style noscript template iframe object embed svg math canvas audio video button input select textarea',
)
const PARAGRAPHS = words(
  'p div section article main header footer nav aside figure figcaption details form fieldset table address dl body',
)
const LINES = words('tr td th dt dd li summary legend option caption')
const RENDERERS: Record<string, (page: Rendering, element: PageElement) => void> = {
  H1: renderHeading,
  H2: renderHeading,
  H3: renderHeading,
  H4: renderHeading,
  H5: renderHeading,
  H6: renderHeading,
  A: renderLink,
  UL: renderList,
  OL: renderList,
  PRE: (page, element) => page.out.code(rawText(element).replace(/^\n/, '').trimEnd()),
  CODE: renderInlineCode,
  BLOCKQUOTE: renderQuote,
  TABLE: renderTable,
  IMG: (page, element) => page.out.words(imageText(element)),
  BR: (page) => page.out.breakLines(1),
  HR: (page) => paragraph(page.out, () => page.out.words('---')),
}
const LINKED = new Set(['http:', 'https:', 'mailto:'])

/**
 * What a reader sees of `root`, as Markdown: headings, lists, links with absolute addresses, quotes, code, table rows.
 * Recursive: the caller has made sure that the tree is not too deep.
 */
export function toMarkdown(root: PageNode, baseUrl: string): string {
  const rendering = { out: markdownWriter(), baseUrl }
  renderNode(rendering, root)
  return rendering.out.text()
}

function renderNode(page: Rendering, node: PageNode): void {
  if (node.nodeType === TEXT) page.out.words(node.textContent)
  else if (isElement(node)) renderElement(page, node)
  else if (CONTAINERS.has(node.nodeType)) renderChildren(page, node)
}

function renderChildren(page: Rendering, node: PageNode): void {
  for (const child of node.childNodes) renderNode(page, child)
}

function renderElement(page: Rendering, element: PageElement): void {
  if (isHidden(element)) return
  const render = RENDERERS[element.nodeName] ?? renderOther
  render(page, element)
}

function renderOther(page: Rendering, element: PageElement): void {
  const isParagraph = PARAGRAPHS.has(element.nodeName)
  const isBlock = isParagraph || LINES.has(element.nodeName)
  if (isBlock) page.out.breakLines(isParagraph ? 2 : 1)
  renderChildren(page, element)
  if (isBlock) page.out.breakLines(isParagraph ? 2 : 1)
}

function renderHeading(page: Rendering, element: PageElement): void {
  const mark = `${'#'.repeat(Number(element.nodeName[1]))} `
  const write = () => page.out.onOneLine(() => renderChildren(page, element))
  paragraph(page.out, () => page.out.indent(mark, '', write))
}

function renderLink(page: Rendering, element: PageElement): void {
  const label = visibleText(element)
  const href = linkTarget(element, page.baseUrl)
  const text = label.replace(/\s+/g, ' ').trim()
  if (!text) return
  const link = href ? `[${text}](${href})` : text
  page.out.words(`${/^\s/.test(label) ? ' ' : ''}${link}${/\s$/.test(label) ? ' ' : ''}`)
}

/** Absolute, or null for what leads nowhere in text: a place on the same page, a script. */
function linkTarget(element: PageElement, baseUrl: string): string | null {
  const href = element.getAttribute('href')?.trim()
  if (!href || href.startsWith('#')) return null
  const url = URL.parse(href, baseUrl)
  return url && LINKED.has(url.protocol) ? url.href : null
}

function renderInlineCode(page: Rendering, element: PageElement): void {
  const text = element.textContent.replace(/\s+/g, ' ').trim()
  if (text) page.out.words(`\`${text}\``)
}

function renderQuote(page: Rendering, element: PageElement): void {
  paragraph(page.out, () => page.out.indent('> ', '> ', () => renderChildren(page, element)))
}

function renderList(page: Rendering, list: PageElement): void {
  const { out } = page
  const isNested = list.parentElement?.nodeName === 'LI'
  let number = Number.parseInt(list.getAttribute('start') ?? '1', 10) || 1
  out.breakLines(isNested ? 1 : 2)
  for (const item of list.childNodes) {
    if (item.nodeName !== 'LI' || !isElement(item) || isHidden(item)) {
      renderNode(page, item)
      continue
    }
    const mark = list.nodeName === 'OL' ? `${number++}. ` : '- '
    out.breakLines(1)
    out.indent(mark, ' '.repeat(mark.length), () => renderChildren(page, item))
    out.breakLines(1)
  }
  out.breakLines(isNested ? 1 : 2)
}

/** Old pages are laid out with tables; those with other tables inside, or with one column, are read as plain blocks. */
function isDataTable(table: PageElement): boolean {
  return table.querySelector('table') === null && table.querySelector('td + td, th + td, th + th') !== null
}

function renderTable(page: Rendering, table: PageElement): void {
  paragraph(page.out, () => (isDataTable(table) ? renderRows(page, table) : renderChildren(page, table)))
}

function renderRows(page: Rendering, table: PageElement): void {
  const caption = table.querySelector('caption')
  if (caption) paragraph(page.out, () => renderChildren(page, caption))
  for (const [index, row] of [...table.querySelectorAll('tr')].entries()) renderRow(page, row, index === 0)
}

function renderRow(page: Rendering, row: PageElement, isFirst: boolean): void {
  const { out } = page
  const cells = [...row.childNodes].filter((node) => node.nodeName === 'TD' || node.nodeName === 'TH')
  if (cells.length === 0 || isHidden(row)) return
  out.breakLines(1)
  out.words('|')
  for (const cell of cells) {
    out.words(' ')
    out.onOneLine(() => renderNode(page, cell))
    out.words(' |')
  }
  if (isFirst && cells.every((cell) => cell.nodeName === 'TH')) {
    out.breakLines(1)
    out.words(`|${' --- |'.repeat(cells.length)}`)
  }
}

function paragraph(out: MarkdownWriter, write: () => void): void {
  out.breakLines(2)
  write()
  out.breakLines(2)
}

/** The text under `node` without line structure, as a label. */
function visibleText(node: PageNode): string {
  if (node.nodeType === TEXT) return node.textContent
  if (!isElement(node) || isHidden(node)) return ''
  if (node.nodeName === 'IMG') return imageText(node)
  const text = [...node.childNodes].map(visibleText).join('')
  const isBlock = PARAGRAPHS.has(node.nodeName) || LINES.has(node.nodeName) || /^(H\d|BR)$/.test(node.nodeName)
  return isBlock ? ` ${text} ` : text
}

/** The text of a code block, where line breaks count. */
function rawText(node: PageNode): string {
  if (node.nodeType === TEXT) return node.textContent
  if (node.nodeName === 'BR') return '\n'
  return isElement(node) && !isHidden(node) ? [...node.childNodes].map(rawText).join('') : ''
}

function imageText(image: PageElement): string {
  return image.getAttribute('alt') ?? ''
}

/** Unread by kind, or hidden by its own attributes; style sheets are not looked at. */
function isHidden(element: PageElement): boolean {
  if (UNREAD.has(element.nodeName)) return true
  if (element.getAttribute('hidden') !== null || element.getAttribute('aria-hidden') === 'true') return true
  return /display\s*:\s*none|visibility\s*:\s*hidden/i.test(element.getAttribute('style') ?? '')
}

function isElement(node: PageNode): node is PageElement {
  return node.nodeType === ELEMENT
}

function words(names: string): Set<string> {
  return new Set(names.toUpperCase().split(' '))
}
