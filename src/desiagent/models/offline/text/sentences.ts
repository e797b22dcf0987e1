const ABBREVIATIONS = new Set(
  'mr mrs ms dr prof st vs e.g i.e etc no approx fig cf ca jr sr inc ltd co corp dept est vol pp p jan feb mar apr jun jul aug sep sept oct nov dec'.split(
    ' ',
  ),
)
const ENDERS = new Set(['.', '!', '?', '…', '。', '！', '？'])
const CLOSERS = new Set(['"', "'", '”', '’', ')', ']', '*', '_', '»'])

/** The sentences of running text. Goes word by word: a pattern over whole texts would backtrack on long runs of dots. */
export function sentencesOf(text: string): string[] {
  const words = text
    .replace(/[。！？]/g, '$& ')
    .split(/\s+/)
    .filter((word) => word !== '')
  const sentences: string[] = []
  let open: string[] = []
  words.forEach((word, i) => {
    open.push(word)
    const next = words[i + 1]
    if (next === undefined || endsSentence(word, next)) {
      sentences.push(open.join(' '))
      open = []
    }
  })
  return sentences
}

export function isQuestion(sentence: string): boolean {
  const { ender } = splitEnd(sentence)
  return ender === '?' || ender === '？'
}

function endsSentence(word: string, next: string): boolean {
  const { stem, ender } = splitEnd(word)
  if (ender === null) return false
  if (ender !== '.') return true
  if (ABBREVIATIONS.has(stem.toLowerCase()) && !/^(?:no|co|p|est)$/i.test(stem)) return isFollowedByName(stem, next)
  const isInitial = stem.length === 1 && /\p{Lu}/u.test(stem)
  return !isInitial && !/^\p{Ll}/u.test(next)
}

/** "etc." may end a sentence and "Dr." may not; months and "e.g." are read as not ending one. */
function isFollowedByName(abbreviation: string, next: string): boolean {
  return /^(?:etc|inc|ltd|corp)$/i.test(abbreviation) && /^\p{Lu}/u.test(next)
}

function splitEnd(word: string): { stem: string; ender: string | null } {
  let end = word.length
  while (end > 0 && CLOSERS.has(word[end - 1]!)) end -= 1
  const ender = word[end - 1]
  if (ender === undefined || !ENDERS.has(ender)) return { stem: word, ender: null }
  let start = 0
  while (start < end && /[("'“‘«[*_]/.test(word[start]!)) start += 1
  return { stem: word.slice(start, end - 1), ender }
}
