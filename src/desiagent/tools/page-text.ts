import { decodePage, mediaType } from './page-charset.ts'
import { elementsOf, findArticle, lowerAttributeNames, type PageDocument, parsePage } from './page-dom.ts'
import { toMarkdown } from './page-markdown.ts'
import { stripTags } from './strip-tags.ts'

export interface FetchedPage {
  /** The address that answered; relative links are resolved against it. */
  url: string
  contentType: string
  bytes: Uint8Array
}

export interface PageText {
  title: string | null
  /** Markdown for HTML; other text as it came. Not shortened. */
  text: string
}

/** The page is not text: an image, a PDF, an archive. */
export class UnreadablePage extends Error {
  constructor(type: string) {
    super(`This page is ${type.slice(0, 100) || 'of an unknown kind'}; only HTML and other text can be read.`)
    this.name = 'UnreadablePage'
  }
}

const HTML = new Set(['text/html', 'application/xhtml+xml'])
const TEXT = /^text\/|^application\/(.+\+)?(json|xml|yaml)$|^application\/(javascript|ndjson|x-ndjson|x-yaml|toml)$/

// Parsing takes quadratic time in the worst case (a tag is looked up in all open ones), so there is an end to it. The
// rest of a longer page is left out; the caller would cut it anyway.
const MAX_PIECES = 30_000
// Readability and our own walk are recursive, and Readability reads a text once for each level above it. Pages made
// by people stay under 60.
const MAX_DEPTH = 100
// linkedom keeps attributes in a list, which Readability walks for each of them.
const MAX_ATTRIBUTES = 200
// Less than this is a teaser or a cookie notice: then the whole page says more.
const SHORTEST_ARTICLE = 250

/**
 * A fetched page as text that a model can read: the article if there is one, otherwise everything that is visible.
 * Runs no script and loads nothing.
 *
 * @throws UnreadablePage when the content type is not text
 */
export function pageText(page: FetchedPage): PageText {
  const type = mediaType(page.contentType) || guessedType(page.bytes)
  if (HTML.has(type)) return htmlText(decodePage(page.bytes, page.contentType), page.url)
  if (TEXT.test(type)) return { title: null, text: decodePage(page.bytes, page.contentType) }
  throw new UnreadablePage(type)
}

function htmlText(source: string, url: string): PageText {
  const document = parsePage(firstPieces(source, MAX_PIECES))
  if (!document || isMonstrous(document)) return { title: null, text: stripTags(source) }
  lowerAttributeNames(document)

  const baseUrl = baseOf(document, url)
  const title = titleOf(document)
  const whole = toMarkdown(document, baseUrl) // before Readability, which takes the document apart
  const article = findArticle(document)
  if (!article || article.length < SHORTEST_ARTICLE) return { title, text: whole }
  return { title: oneLine(article.title) || title, text: toMarkdown(article.content, baseUrl) }
}

/** Whether the tree was built to exhaust whoever walks it. */
function isMonstrous(document: PageDocument): boolean {
  for (const { element, depth } of elementsOf(document)) {
    if (depth > MAX_DEPTH || element.attributes.length > MAX_ATTRIBUTES) return true
  }
  return false
}

function titleOf(document: PageDocument): string | null {
  const title = document.querySelector('head title') ?? document.querySelector('title')
  return oneLine(title?.textContent) || null
}

function baseOf(document: PageDocument, url: string): string {
  const href = document.querySelector('base')?.getAttribute('href') ?? ''
  return URL.parse(href, url)?.href ?? url
}

/** Counts `<` and `&`: also those that open no tag or stand for a character cost a node of their own. */
function firstPieces(html: string, count: number): string {
  const piece = /[<&]/g
  for (let seen = 0; seen <= count; seen++) {
    if (!piece.test(html)) return html
  }
  return html.slice(0, piece.lastIndex - 1)
}

function guessedType(bytes: Uint8Array): string {
  const start = new TextDecoder('latin1').decode(bytes.subarray(0, 1024))
  if (start.includes('\0')) return ''
  return /^\W*<(!doctype html|html|head|body)/i.test(start) ? 'text/html' : 'text/plain'
}

function oneLine(text: string | null | undefined): string {
  return (text ?? '').replace(/\s+/g, ' ').trim()
}
