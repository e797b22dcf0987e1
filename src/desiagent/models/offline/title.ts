import { clausesOf } from './reading/clauses.ts'
import { separateMaterial } from './reading/material.ts'

// Two short of the 60 that are promised: upper-casing the first letter may make up to three of it.
const MAX_TITLE_CHARS = 58

/** The goal's first words, as a title: one line, at most 60 characters, no punctuation at its end. */
export function titleOf(goalText: string): string {
  const { instruction } = separateMaterial(goalText, [])
  const line = instruction.split('\n').find((line) => /[\p{L}\p{N}]/u.test(line)) ?? clausesOf(goalText, [])[0] ?? ''
  const words = line
    .slice(0, 500)
    .trim()
    .replace(/^(?:please|can you|could you)\s+/i, '')
    .replace(/^[\s#*•\d.)-]{1,20}(?=\p{L})/u, '')
  const title = withoutEnd(cut(words.replace(/\s+/g, ' ')))
  return title === '' ? 'Untitled goal' : title.charAt(0).toUpperCase() + title.slice(1)
}

function cut(text: string): string {
  if (text.length <= MAX_TITLE_CHARS) return text
  const head = text.slice(0, MAX_TITLE_CHARS + 1)
  const space = head.lastIndexOf(' ')
  const whole = space > 20 ? head.slice(0, space) : text.slice(0, MAX_TITLE_CHARS)
  return whole.replace(/[^\p{L}\p{N}]{1,20}$/u, '').replace(/ (?:and|or|the|a|an|to|of|in|with|for|then|from|by)$/i, '')
}

function withoutEnd(text: string): string {
  const points = [...text.toWellFormed()]
  while (points.length > 0 && !/[\p{L}\p{N})"”'%+#]/u.test(points.at(-1)!)) points.pop()
  return points.join('')
}
