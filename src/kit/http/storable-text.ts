import type { RouteContract } from './contract.ts'
import type { RequestContext } from './env.ts'
import { ValidationFailed } from './errors.ts'

/**
 * Refuses text that a database cannot give back as it was: NUL (PostgreSQL has none in text) and halves of surrogate
 * pairs (UTF-8 has none). In JSON both can only come as `\u` escapes, so that most bodies are looked at no further.
 *
 * @throws ValidationFailed naming the first field
 */
export async function assertStorable(c: RequestContext, { request }: RouteContract): Promise<void> {
  if ((request?.query || request?.params) && c.req.url.includes('%00')) throw unstorable('')
  if (!request?.body || !c.req.header('content-type')?.includes('json')) return
  const text = await c.req.text() // kept by the request: validation reads it again
  if (!text.includes('\\u')) return
  const path = findUnstorable(parsed(text))
  if (path !== null) throw unstorable(path)
}

interface Place {
  key: string
  value: unknown
  parent: Place | null
}

/**
 * Where the first such text stands, `a.0.b`; null when there is none. Each place is looked at once and knows only its
 * parent, with a list instead of recursion: a stranger may nest a body as deep as its size allows.
 */
function findUnstorable(body: unknown): string | null {
  const places: Place[] = [{ key: '', value: body, parent: null }]
  for (let place = places.pop(); place; place = places.pop()) {
    const { key, value } = place
    if (isUnstorable(key) || (typeof value === 'string' && isUnstorable(value))) return pathOf(place)
    if (typeof value !== 'object' || value === null) continue
    for (const [inner, innerValue] of Object.entries(value)) {
      places.push({ key: inner, value: innerValue, parent: place })
    }
  }
  return null
}

const LONGEST_PATH = 200

function pathOf(found: Place): string {
  const keys: string[] = []
  for (let place: Place | null = found; place?.parent; place = place.parent) keys.push(place.key)
  return keys.toReversed().slice(0, LONGEST_PATH).join('.').toWellFormed().replaceAll('\0', '')
}

function isUnstorable(text: string): boolean {
  return text.includes('\0') || !text.isWellFormed()
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null // validation says so
  }
}

function unstorable(path: string) {
  return new ValidationFailed([{ path, message: 'NUL and halves of surrogate pairs cannot be stored.' }])
}
