import { blocksOf, plainText } from './markdown.ts'
import { isQuestion, sentencesOf } from './sentences.ts'
import { clip, isContentWord, stem, termsOf, wordsOf } from './words.ts'

const MONTH =
  '(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)'
const DATES = new RegExp(
  [
    '\\b\\d{4}-\\d{2}-\\d{2}\\b',
    `\\b\\d{1,2}(?:st|nd|rd|th)? (?:of )?${MONTH}\\b\\.?(?:,? \\d{4}\\b)?`,
    `\\b${MONTH}\\b\\.? \\d{1,2}(?:st|nd|rd|th)?\\b(?:,? \\d{4}\\b)?`,
    `\\b${MONTH}\\b\\.? \\d{4}\\b`,
    '\\b\\d{1,2}[./]\\d{1,2}[./]\\d{2,4}\\b',
  ].join('|'),
  'g',
)
const NUMBERS = /(?<![\p{L}\p{N}.,-])[-+]?[$€£]?\d{1,20}(?:[.,]\d{1,20}){0,8}(?: ?%|\b)(?![\p{L}])/gu
const URLS = /https?:\/\/[^\s<>"'`|]+/gi

/** The sentences of paragraphs and list items, inline marks taken off. */
export function allSentences(text: string): string[] {
  return blocksOf(text).flatMap((block) =>
    block.kind === 'paragraph' || block.kind === 'item' ? sentencesOf(block.text) : [],
  )
}

export function questionsOf(text: string): string[] {
  const headings = blocksOf(text).flatMap((block) => (block.kind === 'heading' ? [block.text] : []))
  return distinct([...headings, ...allSentences(text)].filter(isQuestion))
}

export function linksOf(text: string): string[] {
  return distinct([...text.matchAll(URLS)].map(([url]) => trimUrl(url)))
}

/** A sentence's full stop or bracket behind an address is not part of it. */
export function trimUrl(url: string): string {
  let end = url.length
  while (end > 0 && /[.,;:!?)\]}*]/.test(url[end - 1]!)) {
    if (url[end - 1] === ')' && url.slice(0, end).includes('(')) break
    end -= 1
  }
  return url.slice(0, end)
}

export function datesOf(text: string): string[] {
  return distinct([...text.matchAll(DATES)].map(([date]) => date))
}

/** Numbers that stand for themselves; those inside a date or a name ("A4", "2025-03-01") are left out. */
export function numbersOf(text: string): string[] {
  const withoutDates = text
    .replace(DATES, ' ')
    .replace(URLS, ' ')
    .replace(/^\s*\d{1,4}[.)]\s/gm, ' ')
  return [...withoutDates.matchAll(NUMBERS)].map(([number]) => number.trim())
}

export function emailsOf(text: string): string[] {
  const words = text.split(/[\s<>()[\],;:"']+/).filter((word) => word.length < 255)
  return distinct(words.flatMap((word) => /^[\w.+-]+@[\w-]+(?:\.[\w-]+)+/.exec(word)?.[0] ?? []))
}

/** Capitalised phrases. What opens a sentence counts only if it is capitalised elsewhere too, or is followed by another. */
export function namesOf(text: string): string[] {
  const sentences = allSentences(text)
  const inside = sentences.flatMap((sentence) => capitalised(sentence, false))
  const known = new Set(inside.flatMap((name) => name.split(' ')))
  const opening = sentences
    .flatMap((sentence) => capitalised(sentence, true))
    .filter((name) => name.includes(' ') || known.has(name))
  const names = new Set([...opening, ...inside])
  return [...names].filter((name) => name.length > 1)
}

function capitalised(sentence: string, atStart: boolean): string[] {
  const phrases = sentence.match(/\p{Lu}[\p{L}\p{N}'’-]*(?: \p{Lu}[\p{L}\p{N}'’-]*)*/gu) ?? []
  const start = /^\p{Lu}/u.test(sentence)
  const chosen = start ? (atStart ? phrases.slice(0, 1) : phrases.slice(1)) : atStart ? [] : phrases
  return chosen
    .map((phrase) => phrase.split(' '))
    .filter((words) => words.some(isNameWord))
    .map((words) =>
      words
        .slice(words.findIndex(isNameWord))
        .join(' ')
        .replace(/['’]s$/, ''),
    )
}

/** Days open sentences in capitals without belonging to the name behind them. */
const DAYS = new Set('yesterday today tomorrow monday tuesday wednesday thursday friday saturday sunday'.split(' '))

function isNameWord(word: string): boolean {
  return isContentWord(word.toLowerCase()) && !DAYS.has(word.toLowerCase())
}

/** The sentences, headings and table rows that hold the term as a whole word or phrase. */
export function mentionsOf(text: string, term: string): string[] {
  const pattern = termPattern(term)
  if (pattern === null) return []
  const pieces = blocksOf(text).flatMap((block) => {
    if (block.kind === 'row') return [block.cells.join(' — ')]
    if (block.kind === 'code') return block.text.split('\n')
    return block.kind === 'heading' ? [block.text] : sentencesOf(block.text)
  })
  return distinct(pieces.filter((piece) => piece.search(pattern) >= 0))
}

export function countOccurrences(text: string, term: string): number {
  const pattern = termPattern(term)
  return pattern === null ? 0 : (text.match(pattern)?.length ?? 0)
}

/** Items under a heading with these words, then the sentences that hold them, best match first where they differ. */
export function aboutTopic(text: string, words: readonly string[]): string[] {
  const wanted = new Set(words.map(stem))
  const found: string[] = []
  let isWantedSection = false
  for (const block of blocksOf(text)) {
    if (block.kind === 'heading') isWantedSection = termsOf(block.text).some((term) => wanted.has(term))
    else if (block.kind === 'item' && isWantedSection) found.push(block.text)
    else if (block.kind === 'row') found.push(...[block.cells.join(' — ')].filter((row) => holds(row, wanted) > 0))
    else if (block.kind !== 'code') {
      const sentences = sentencesOf(block.text)
      found.push(...sentences.filter((sentence) => isWantedSection || holds(sentence, wanted) > 0))
    }
  }
  return distinct(found)
}

/** Up to five sentences that share most words with the question; none when no sentence shares any. */
export function answerFrom(text: string, words: readonly string[]): string[] {
  const wanted = new Set(words.map(stem))
  const scored = aboutTopic(text, words).map((sentence, i) => ({ sentence, i, score: holds(sentence, wanted) }))
  const best = scored.sort((a, b) => b.score - a.score || a.i - b.i).slice(0, 5)
  const enough = Math.max(1, Math.ceil((best[0]?.score ?? 0) / 2))
  return best.filter(({ score }) => score >= enough).map(({ sentence }) => clip(sentence, 400))
}

function holds(sentence: string, wanted: ReadonlySet<string>): number {
  return new Set(
    wordsOf(sentence)
      .map(stem)
      .filter((word) => wanted.has(word)),
  ).size
}

function termPattern(term: string): RegExp | null {
  const words = plainText(term)
    .trim()
    .split(/\s+/)
    .filter((word) => word !== '')
  if (words.length === 0) return null
  const source = words.map((word) => word.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')).join('\\s+')
  return new RegExp(`(?<![\\p{L}\\p{N}])${source}(?![\\p{L}\\p{N}])`, 'giu')
}

function distinct(items: string[]): string[] {
  return [...new Set(items)].filter((item) => item !== '')
}
