/** Words that say nothing about what a text is about. */
const STOP_WORDS = new Set(
  (
    'a about above after again against all also am an and any are as at be because been before being below between ' +
    'both but by can cannot could did do does doing down during each either else ever every few for from further had ' +
    'has have having he her here hers him his how however i if in into is it its itself just let like many may me ' +
    'might more most much must my neither no nor not now of off on once one only or other our ours out over own per ' +
    'please quite rather same shall she should since so some still such than that the their theirs them then there ' +
    'these they this those through thus to too two under until up upon us very was we were what when where whether ' +
    'which while who whom whose why will with within without would yet you your yours d ll m re s t ve don didn doesn ' +
    'isn wasn weren won wouldn couldn shouldn hasn haven'
  ).split(' '),
)

/** Lower-case words of letters and digits, in order. */
export function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}]+(?:['’][\p{L}\p{N}]+)*/gu) ?? []
}

/** What the words are about: without stop words, plural and singular taken for one. */
export function termsOf(text: string): string[] {
  return wordsOf(text).filter(isContentWord).map(stem)
}

export function isContentWord(word: string): boolean {
  return word.length > 1 && !STOP_WORDS.has(word)
}

/** Only the commonest English endings: enough to see that "budgets" is about the budget. */
export function stem(word: string): string {
  if (word.length > 4 && word.endsWith('ies')) return `${word.slice(0, -3)}y`
  if (word.length > 3 && word.endsWith('s') && !word.endsWith('ss') && !word.endsWith('us')) return word.slice(0, -1)
  return word
}

/** At most `max` characters, cut between words where that is possible. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text
  const cut = text.slice(0, max - 1).toWellFormed()
  const space = cut.lastIndexOf(' ')
  return `${space > max / 2 ? cut.slice(0, space) : cut}…`
}

export function plural(count: number, noun: string): string {
  if (count === 1) return `1 ${noun}`
  return `${count} ${noun.endsWith('y') ? `${noun.slice(0, -1)}ies` : `${noun}s`}`
}
