import { withoutSignature } from './signature.ts'

/** A text to work on, and what to call it. */
export interface Source {
  label: string
  text: string
}

/** "Read notes.md" gave the text of notes.md. */
export function labelOf(description: string): string {
  return description.replace(/^(?:Read|Fetch) /, '').trim() || 'The given text'
}

/** Tools answer with objects that hold the text in one of these fields. */
const TEXT_FIELDS = ['content', 'text', 'markdown', 'body'] as const

export function textOfResult(result: string): string {
  return withoutSignature(fieldOf(parseObject(result), TEXT_FIELDS) ?? result)
}

export function fieldOf(object: Record<string, unknown> | null, names: readonly string[]): string | null {
  const name = names.find((name) => typeof object?.[name] === 'string')
  return name === undefined ? null : String(object?.[name])
}

export function parseObject(text: string): Record<string, unknown> | null {
  if (!text.startsWith('{') || !text.endsWith('}')) return null
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? { ...value } : null
  } catch {
    return null
  }
}
