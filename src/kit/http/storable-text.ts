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

/** Where the first such text stands, `a.0.b`; null when there is none. Level by level: a body may be nested deep. */
function findUnstorable(body: unknown): string | null {
  let level: [string, unknown][] = [['', body]]
  while (level.length > 0) {
    const found = level.find(
      ([path, value]) => isUnstorable(path) || (typeof value === 'string' && isUnstorable(value)),
    )
    if (found) return found[0].toWellFormed().replaceAll('\0', '')
    level = level.flatMap(([path, value]) =>
      typeof value === 'object' && value !== null
        ? Object.entries(value).map(([key, inner]): [string, unknown] => [path === '' ? key : `${path}.${key}`, inner])
        : [],
    )
  }
  return null
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
