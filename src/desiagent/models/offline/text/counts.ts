import { actionItems } from './action-items.ts'
import { allSentences, countOccurrences, datesOf, emailsOf, linksOf, namesOf, numbersOf, questionsOf } from './finds.ts'
import { headingsOf } from './headings.ts'
import { blocksOf } from './markdown.ts'

export type Countable =
  | 'words'
  | 'characters'
  | 'lines'
  | 'sentences'
  | 'paragraphs'
  | 'headings'
  | 'actionItems'
  | 'questions'
  | 'links'
  | 'dates'
  | 'numbers'
  | 'names'
  | 'emails'
  | 'occurrences'

/** @param term  what `occurrences` looks for: whole words, upper and lower case alike */
export function countOf(text: string, what: Countable, term: string): number {
  switch (what) {
    case 'words':
      return wordCount(text)
    case 'characters':
      return [...text].length
    case 'lines':
      return lineCount(text)
    case 'sentences':
      return allSentences(text).length
    case 'paragraphs':
      return blocksOf(text).filter(({ kind }) => kind === 'paragraph').length
    case 'headings':
      return headingsOf(text).length
    case 'actionItems':
      return actionItems(text).length
    case 'questions':
      return questionsOf(text).length
    case 'links':
      return linksOf(text).length
    case 'dates':
      return datesOf(text).length
    case 'numbers':
      return numbersOf(text).length
    case 'names':
      return namesOf(text).length
    case 'emails':
      return emailsOf(text).length
    case 'occurrences':
      return countOccurrences(text, term)
  }
}

/** What stands between spaces and holds a letter or a digit; a list's dash or a table's bar is no word. */
function wordCount(text: string): number {
  return text.split(/\s+/).filter((piece) => /[\p{L}\p{N}]/u.test(piece)).length
}

/** As an editor counts them: a newline at the very end opens no further line. */
function lineCount(text: string): number {
  if (text === '') return 0
  return text.replace(/\r?\n$/, '').split('\n').length
}
