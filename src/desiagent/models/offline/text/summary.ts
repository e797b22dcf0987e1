import { blocksOf } from './markdown.ts'
import { isQuestion, sentencesOf } from './sentences.ts'
import { clip, termsOf } from './words.ts'

interface Candidate {
  text: string
  terms: string[]
  /** How far the sentence stands from the start of its section, 0 for its first. */
  place: number
  section: string
}

const MAX_SENTENCE_CHARS = 400

/**
 * The sentences that carry most of the text, in their original order: those that use its frequent words and the words
 * of its headings, and those that open a section. Code, tables and front matter are passed over.
 *
 * @param size  how many; left out, a fifth of the text, at least 3 and at most 7
 */
export function keySentences(text: string, size: number | null): string[] {
  const candidates = readCandidates(text)
  const wanted = size ?? Math.min(7, Math.max(3, Math.round(candidates.length / 5)))
  if (candidates.length <= wanted) return candidates.map(({ text }) => clip(text, MAX_SENTENCE_CHARS))
  const chosen = choose(candidates, scoresOf(candidates), wanted)
  return [...chosen].sort((a, b) => a - b).map((i) => clip(candidates[i]!.text, MAX_SENTENCE_CHARS))
}

function readCandidates(text: string): Candidate[] {
  const candidates: Candidate[] = []
  const seen = new Set<string>()
  let section = ''
  let place = 0
  for (const block of blocksOf(text)) {
    if (block.kind === 'heading') {
      section = block.text
      place = 0
    }
    if (block.kind !== 'paragraph' && block.kind !== 'item') continue
    for (const sentence of sentencesOf(block.text)) {
      if (seen.has(sentence) || !/[\p{L}\p{N}]/u.test(sentence)) continue
      seen.add(sentence)
      candidates.push({
        text: sentence,
        terms: termsOf(sentence).filter((term) => !/^\d+$/.test(term)),
        place,
        section,
      })
      place += 1
    }
  }
  return candidates
}

function scoresOf(candidates: Candidate[]): number[] {
  const frequency = frequencyOf(candidates)
  return candidates.map((candidate, i) => {
    const terms = new Set(candidate.terms)
    // The square root keeps long sentences from winning by length and short ones by a single frequent word.
    const weight =
      [...terms].reduce((sum, term) => sum + Math.log1p(frequency.get(term) ?? 1), 0) / Math.sqrt(terms.size + 3)
    const headingTerms = termsOf(candidate.section).filter((term) => terms.has(term)).length
    return (weight + 0.4 * Math.min(headingTerms, 2)) * placeFactor(candidate, i) * formFactor(candidate)
  })
}

/** In how many sentences each term stands. "Week 1 was dry", "Week 2 was dry": a pattern that repeats counts once. */
function frequencyOf(candidates: Candidate[]): Map<string, number> {
  const byPattern = new Map(candidates.map(({ text, terms }) => [text.replace(/\d+/g, '#'), terms]))
  const frequency = new Map<string, number>()
  for (const terms of byPattern.values()) {
    for (const term of new Set(terms)) frequency.set(term, (frequency.get(term) ?? 0) + 1)
  }
  return frequency
}

function placeFactor({ place }: Candidate, index: number): number {
  if (index === 0) return 1.5
  return place === 0 ? 1.25 : 1
}

function formFactor({ text, terms }: Candidate): number {
  if (terms.length < 3 || text.endsWith(':')) return 0.4
  return isQuestion(text) || terms.length > 45 ? 0.7 : 1
}

/** Takes the best one by one; a sentence that repeats what is already taken loses most of its weight. */
function choose(candidates: Candidate[], scores: number[], wanted: number): Set<number> {
  const chosen = new Set<number>()
  const covered = new Set<string>()
  while (chosen.size < Math.min(wanted, candidates.length)) {
    let best = -1
    let bestScore = -1
    for (let i = 0; i < candidates.length; i += 1) {
      // Covered words only lower a score, so a sentence that cannot win uncovered needs no closer look.
      if (chosen.has(i) || scores[i]! <= bestScore) continue
      const score = scores[i]! * (1 - 0.6 * shareIn(candidates[i]!.terms, covered))
      if (score > bestScore) {
        best = i
        bestScore = score
      }
    }
    chosen.add(best)
    for (const term of candidates[best]!.terms) covered.add(term)
  }
  return chosen
}

function shareIn(terms: string[], covered: ReadonlySet<string>): number {
  return terms.length === 0 ? 0 : terms.filter((term) => covered.has(term)).length / terms.length
}
