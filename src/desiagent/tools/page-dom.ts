import { isProbablyReaderable, Readability } from '@mozilla/readability'
import { DOMParser } from 'linkedom/worker'

/** The little of the DOM that we use: shared code has no DOM types, and linkedom's own lean on them. */
export interface PageNode {
  readonly nodeType: number
  /** In capitals for elements. */
  readonly nodeName: string
  readonly textContent: string
  readonly childNodes: Iterable<PageNode>
}

export interface PageElement extends PageNode {
  readonly attributes: ArrayLike<{ readonly name: string; readonly value: string }>
  readonly parentElement: PageElement | null
  readonly firstElementChild: PageElement | null
  readonly nextElementSibling: PageElement | null
  getAttribute(name: string): string | null
  setAttribute(name: string, value: string): void
  querySelector(selector: string): PageElement | null
  querySelectorAll(selector: string): Iterable<PageElement>
}

export interface PageDocument extends PageNode {
  readonly documentElement: PageElement | null
  querySelector(selector: string): PageElement | null
}

export interface Article {
  title: string | null | undefined
  content: PageElement
  /** Characters of text. */
  length: number
}

// Time grows with the number of elements; this many took 0.5 s.
const MAX_ARTICLE_ELEMENTS = 20_000

/** Reads HTML into a tree, without running or loading anything; null when the parser gives up. */
export function parsePage(html: string): PageDocument | null {
  try {
    const document = parse(html)
    if (isComplete(document)) return document
    // <html>, <head> and <body> may be left out, but linkedom does not add them as browsers do.
    return parse(`<html><head></head><body>${html}</body></html>`)
  } catch {
    return null // linkedom spreads the class names of an element onto the stack: a few 100,000 are too many
  }
}

/** All elements in the order of the page, each with its depth. No recursion, so no page is too deep for it. */
export function* elementsOf(document: PageDocument): Generator<{ element: PageElement; depth: number }> {
  let element = document.documentElement
  let depth = 1
  while (element) {
    yield { element, depth }
    if (element.firstElementChild) {
      element = element.firstElementChild
      depth++
      continue
    }
    while (element && !element.nextElementSibling) {
      element = element.parentElement
      depth--
    }
    element = element?.nextElementSibling ?? null
  }
}

/** Makes `HREF` readable as `href`: HTML does not tell them apart, linkedom does. */
export function lowerAttributeNames(document: PageDocument): void {
  for (const { element } of elementsOf(document)) {
    for (const { name, value } of Array.from(element.attributes)) {
      const lower = name.toLowerCase()
      if (lower !== name && element.getAttribute(lower) === null) element.setAttribute(lower, value)
    }
  }
}

/** The main text of an article-like page, by Firefox's reader view; null when there is none. Empties the document. */
export function findArticle(document: PageDocument): Article | null {
  const dom = document as never // Readability asks for the browser's Document, and is known to work on linkedom's
  try {
    if (!isProbablyReaderable(dom)) return null
    const reader = new Readability(dom, { serializer: (node) => node, maxElemsToParse: MAX_ARTICLE_ELEMENTS })
    const article = reader.parse()
    if (!article?.content) return null
    return { title: article.title, content: article.content as unknown as PageElement, length: article.length ?? 0 }
  } catch {
    return null // too many elements, or a tree that it trips over: the whole page still reads well enough
  }
}

function parse(html: string): PageDocument {
  return new DOMParser().parseFromString(html, 'text/html') as unknown as PageDocument
}

function isComplete({ documentElement: root }: PageDocument): boolean {
  const first = root?.firstElementChild
  const body = first?.nodeName === 'HEAD' ? first.nextElementSibling : first
  return root?.nodeName === 'HTML' && body?.nodeName === 'BODY'
}
