import { z } from 'zod'
import { contracts } from '#src/contracts.ts'

interface Documented {
  matches(method: string, path: string): boolean
  operationId: string
  responses: Record<string, { content?: Record<string, { schema?: unknown }> }>
}

const ROUTES: readonly Documented[] = contracts
  .filter(({ isAtRoot }) => !isAtRoot)
  // A literal segment wins over a parameter, as in the router.
  .toSorted((a, b) => a.path.split('{').length - b.path.split('{').length)
  .map(({ method, path, operationId, responses }) => {
    const pattern = new RegExp(`^${path.replaceAll(/\{[^}]+\}/g, '[^/]+')}$`)
    return {
      matches: (asked, at) => asked.toLowerCase() === method && pattern.test(at),
      operationId,
      responses: responses as Documented['responses'],
    }
  })

/**
 * Every answer of every test must be one its contract documents, with exactly the fields it documents: a field too
 * many is a leak.
 */
export function assertAsDocumented(
  method: string,
  path: string,
  { status, headers }: Pick<Response, 'status' | 'headers'>,
  body: unknown,
): void {
  const route = ROUTES.find(({ matches }) => matches(method, path.split('?')[0] ?? ''))
  if (!route) return // no route of ours: a test of 404 and 405
  const documented = route.responses[status]
  if (!documented) throw new Error(`${route.operationId} answered ${status}, which its contract does not document`)
  if (headers.get('content-type')?.startsWith('text/event-stream')) return // its events are looked at by who reads them
  const schema = documented.content?.['application/json']?.schema
  if (!(schema instanceof z.ZodType)) return
  const parsed = schema.safeParse(body)
  if (!parsed.success)
    throw new Error(`${route.operationId} ${status}: ${z.prettifyError(parsed.error)}\n${JSON.stringify(body)}`)
  if (canonical(parsed.data) !== canonical(body)) {
    throw new Error(
      `${route.operationId} ${status} has other fields than documented:\n${canonical(body)}\n${canonical(parsed.data)}`,
    )
  }
}

/** JSON without regard to the order of fields. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  )
}
