// {{tasks.<taskId>.result}} with an optional path, and desiAgent's older <Result of Task 1>, <Results from Task 1>.
const REFERENCE =
  /\{\{\s*tasks\.([^.{}\s]+)\.result((?:\.[\w-]+|\[\d+\])*)\s*\}\}|<Results? (?:of|from) Task ([^<>\s]+)>/g

export interface Reference {
  taskId: string
  /** Keys and indexes behind the result. */
  path: readonly string[]
}

/** Every reference in a tool's params, however deep. */
export function referencesIn(value: unknown): Reference[] {
  if (typeof value === 'string') return [...value.matchAll(REFERENCE)].map(toReference)
  if (Array.isArray(value)) return value.flatMap(referencesIn)
  if (isRecord(value)) return Object.values(value).flatMap(referencesIn)
  return []
}

/** True for a string that is nothing but one reference: it becomes the value itself, of whatever type. */
export function isWholeReference(value: unknown): boolean {
  if (typeof value !== 'string') return false
  const [match] = value.matchAll(REFERENCE)
  return (
    match !== undefined &&
    match[0].length === value.trim().length &&
    match.index === value.length - value.trimStart().length
  )
}

/**
 * The params with each reference replaced by the result it names; inside longer text, results become text.
 *
 * @throws UnresolvedReference when a path leads nowhere
 */
export function resolveReferences(value: unknown, resultOf: (taskId: string) => unknown): unknown {
  if (typeof value === 'string') return resolveText(value, resultOf)
  if (Array.isArray(value)) return value.map((item) => resolveReferences(item, resultOf))
  if (!isRecord(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolveReferences(item, resultOf)]))
}

export class UnresolvedReference extends Error {
  constructor(reference: Reference) {
    super(`The result of task ${reference.taskId} has no ${reference.path.join('.')}.`)
    this.name = 'UnresolvedReference'
  }
}

/** Task ids are compared without leading zeros: plans write "1" and "001" for the same task. */
export function sameTask(a: string, b: string): boolean {
  return a === b || withoutZeros(a) === withoutZeros(b)
}

function resolveText(text: string, resultOf: (taskId: string) => unknown): unknown {
  if (isWholeReference(text)) return lookUp(referencesIn(text)[0] as Reference, resultOf)
  return text.replaceAll(REFERENCE, (...match) => {
    const value = lookUp(toReference(match as unknown as RegExpMatchArray), resultOf)
    return typeof value === 'string' ? value : JSON.stringify(value)
  })
}

function lookUp(reference: Reference, resultOf: (taskId: string) => unknown): unknown {
  let value = resultOf(reference.taskId)
  for (const key of reference.path) {
    // Own properties only: a path such as `constructor` must not reach into the language.
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key))
      throw new UnresolvedReference(reference)
    value = (value as Record<string, unknown>)[key]
  }
  return value
}

function toReference(match: RegExpMatchArray | RegExpExecArray): Reference {
  const [, taskId, path, olderTaskId] = match
  return { taskId: (taskId ?? olderTaskId) as string, path: (path ?? '').match(/[\w-]+/g) ?? [] }
}

function withoutZeros(taskId: string): string {
  return taskId.replace(/^0+(?=.)/, '')
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}
