import type { RouteContract } from './contract.ts'
import type { RequestContext } from './env.ts'
import { UnsupportedMediaType } from './errors.ts'

/**
 * A body that may be left out: nothing is `{}`, whatever content type a client sends with it; anything must be JSON.
 * Without this an answer to "what is your body" depended on a header, and other types passed unvalidated.
 *
 * @throws UnsupportedMediaType
 */
export async function settleOptionalBody(c: RequestContext, { hasOptionalBody }: RouteContract): Promise<void> {
  if (!hasOptionalBody) return
  const text = await c.req.text() // kept by the request: validation reads it again
  const contentType = c.req.header('content-type')
  if (text.trim() === '') {
    if (contentType !== undefined) sayEmptyJson(c)
  } else if (!contentType?.includes('json')) throw new UnsupportedMediaType()
}

/** What a client says of a body it does not send is no matter: `curl -d ''` calls it a form. */
function sayEmptyJson(c: RequestContext): void {
  const { method, url, headers, signal } = c.req.raw
  const said = new Headers(headers)
  said.set('content-type', 'application/json')
  c.req.raw = new Request(url, { method, headers: said, signal })
  c.req.bodyCache.text = Promise.resolve('{}') as never // Hono keeps promises here, whatever its types say
}
