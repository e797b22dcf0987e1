import { blocksOf } from './markdown.ts'
import { sentencesOf } from './sentences.ts'
import { clip } from './words.ts'

export interface Heading {
  level: number
  text: string
}

export function headingsOf(text: string): Heading[] {
  return blocksOf(text).flatMap((block) => (block.kind === 'heading' && block.text !== '' ? [block] : []))
}

/** As a nested list; the highest level that occurs stands at the margin. */
export function nestedList(headings: readonly Heading[]): string {
  const top = Math.min(...headings.map(({ level }) => level))
  return headings.map(({ level, text }) => `${'  '.repeat(level - top)}- ${text}`).join('\n')
}

/** Headings with the sentence that opens each section; for a text without headings, the first sentence of each paragraph. */
export function outlineOf(text: string): string {
  const entries: Heading[] = []
  let level = 0
  let isOpened = false
  for (const block of blocksOf(text)) {
    if (block.kind === 'heading' && block.text !== '') {
      entries.push(block)
      level = block.level
      isOpened = false
    } else if (block.kind === 'paragraph' && !(level > 0 && isOpened)) {
      entries.push({ level: level + 1, text: clip(sentencesOf(block.text)[0] ?? block.text, 200) })
      isOpened = true
    }
  }
  return entries.length === 0 ? '' : nestedList(entries)
}
