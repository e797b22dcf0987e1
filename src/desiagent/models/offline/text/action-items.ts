import { type Block, blocksOf } from './markdown.ts'
import { sentencesOf } from './sentences.ts'
import { clip } from './words.ts'

const HEADING =
  /^(?:\d+[.)]?\s+)?(?:open\s+|our\s+|the\s+)?(?:action(?:s|[ -]items?| points?)?|next steps?|to-?dos?|to do(?: list)?|tasks?|follow[ -]?ups?|agreed actions?)\b/i
const LABEL =
  /^(?:todo|fixme|to do|actions?|action items?|action points?|next steps?|ai|follow[- ]?up)\b(?:\s*\([^()\n]{0,60}\))?\s*[:–—-]\s*/i
const DUTY = /(?:will|must|should|shall|needs? to|has to|have to|is to|are to|agreed to|promised to|volunteered to)/
const NAME = /\p{Lu}[\p{L}'’-]*/u
const OWNER = new RegExp(
  `^(?:${NAME.source}(?:,? (?:and )?${NAME.source}){0,3}|(?:The|the) (?:team|group|board|manager|owner|council|committee|office|company|chair|secretary|department|staff|supplier|contractor|client|vendor|designers?|developers?|engineers?)),? (?:${DUTY.source}) (\\p{L}+)`,
  'u',
)
/** They open a sentence with a capital, but nobody is asked to do anything. */
const NOT_AN_OWNER =
  /^(?:It|This|That|There|These|Those|What|Which|Who|How|Why|When|Where|If|He|She|Sales|Prices|Costs)\b/
/** "will be", "should have": how things are or will be, not what somebody does. */
const STATES = new Set([
  'be',
  'have',
  'not',
  'need',
  'likely',
  'probably',
  'also',
  'never',
  'always',
  'become',
  'remain',
])

/** What somebody is asked to do: open checkboxes, TODO and Action lines, "X will …", and what stands under such a heading. */
export function actionItems(text: string): string[] {
  const items: string[] = []
  let isActionSection = false
  let level = 0
  let isTableHead = true
  for (const block of blocksOf(text)) {
    if (block.kind === 'heading') {
      if (HEADING.test(block.text)) [isActionSection, level] = [true, block.level]
      else if (block.level <= level) isActionSection = false
    }
    // "Next steps:" on a line of its own heads what follows as well.
    if (block.kind === 'paragraph' && block.text.endsWith(':') && block.text.length < 60) {
      isActionSection = HEADING.test(block.text)
      level = 6
      continue
    }
    if (block.kind === 'row' && isActionSection && !isTableHead)
      items.push(block.cells.filter((cell) => cell !== '').join(' — '))
    isTableHead = block.kind !== 'row'
    items.push(...itemsOfBlock(block, isActionSection))
  }
  return distinct(items)
}

function itemsOfBlock(block: Block, isActionSection: boolean): string[] {
  if (block.kind === 'item') {
    if (block.isDone === true) return []
    if (block.isDone === false || isActionSection) return [withoutLabel(block.text)]
  }
  if (block.kind !== 'item' && block.kind !== 'paragraph') return []
  if (LABEL.test(block.text)) return [withoutLabel(block.text)].filter((item) => item !== '')
  return sentencesOf(block.text).filter(asksForAction).map(withoutLabel)
}

function asksForAction(sentence: string): boolean {
  if (LABEL.test(sentence) || /^Please \p{Ll}/u.test(sentence)) return true
  if (NOT_AN_OWNER.test(sentence)) return false
  const verb = OWNER.exec(sentence)?.[1]
  return verb !== undefined && !STATES.has(verb) && !sentence.endsWith('?')
}

function withoutLabel(text: string): string {
  return clip(text.replace(LABEL, '').trim(), 400)
}

function distinct(items: string[]): string[] {
  const byKey = new Map(items.map((item) => [item.toLowerCase().replace(/\W+$/, ''), item] as const))
  return [...byKey.values()].filter((item) => item !== '')
}
