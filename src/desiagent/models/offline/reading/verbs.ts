/** Verbs that open a clause of their own. */
const VERBS = new Set(
  (
    'read open load take study go fetch download visit browse crawl scrape retrieve summarise summarize shorten condense ' +
    'abridge recap sum tldr list extract find identify give tell collect pull gather look count tally calculate compute ' +
    'determine combine merge join put compare contrast write save store export create generate produce make compose ' +
    'append translate rewrite rephrase paraphrase convert explain analyse analyze examine describe organise organize ' +
    'classify recommend suggest propose brainstorm build develop prepare do improve fix proofread evaluate prioritise ' +
    'prioritize turn send remind add remove shrink digest reduce invent imagine solve predict decide choose enumerate'
  ).split(' '),
)

/** Nouns as often as verbs: behind a comma or "and" they open a clause only with an object that looks like one. */
const NOUN_VERBS = new Set(
  (
    'show get search outline sketch structure draft output record answer plan schedule book email research design check ' +
    'highlight note point report quote print return rank sort number review use using copy help name call mark keep state'
  ).split(' '),
)

const QUESTION_WORDS = new Set('what who whom whose when where why which how'.split(' '))
const QUESTION_VERBS = new Set('is are was were does do did can could should will has have'.split(' '))

const LEAD =
  /^(?:please|then|also|finally|next|firstly|first|secondly|second|thirdly|third|lastly|and|now|afterwards|after that|can you|could you|would you|will you|i want you to|i want to|i need you to|i need to|i would like you to|i would like to|i would like|i'd like you to|i'd like to|i want|i need|help me to|help me|let's|let us|kindly|just|try to|step \d{1,3}|you should|to)(?![\p{L}\p{N}'’])[\s,:.]{0,20}/iu
const OBJECT =
  /^(?:the|a|an|all|any|my|our|its|their|it|them|this|that|these|those|each|every|me|us|how|whether|both|\d|□|out\b|for\b)/i

/** How many characters of politeness and order ("please", "and then", "2.") stand before what is asked. */
export function leadLength(text: string): number {
  let at = /^[\s,;:.–—-]*(?:\(?\d{1,3}[.)]\s+|[-*•+]\s+)?\s*/.exec(text.slice(0, 200))?.[0].length ?? 0
  for (let round = 0; round < 6; round += 1) {
    const lead = LEAD.exec(text.slice(at, at + 60))?.[0]
    if (lead === undefined) break
    at += lead.length
  }
  return at
}

/** The verb or question word that opens the text, in lower case; null when it opens otherwise. */
export function openingVerb(text: string, isOwnSentence: boolean): string | null {
  const rest = text.slice(leadLength(text)).slice(0, 120)
  const word = /^[\p{L}]+(?:;dr)?/u.exec(rest)?.[0].toLowerCase()
  if (word === undefined) return null
  const behind = rest.slice(word.length).trim()
  if (VERBS.has(word)) return word
  if (NOUN_VERBS.has(word) && (isOwnSentence || OBJECT.test(behind))) return word
  if (QUESTION_WORDS.has(word) && (isOwnSentence || behind.includes(' '))) return word
  return isOwnSentence && QUESTION_VERBS.has(word) && behind.includes(' ') ? word : null
}

export function isVerb(word: string): boolean {
  return VERBS.has(word) || NOUN_VERBS.has(word) || QUESTION_WORDS.has(word) || QUESTION_VERBS.has(word)
}

export function isQuestionWord(word: string): boolean {
  return QUESTION_WORDS.has(word) || QUESTION_VERBS.has(word)
}
