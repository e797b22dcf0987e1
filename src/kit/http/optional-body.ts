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
  const isJson = c.req.header('content-type')?.includes('json') === true
  if (text.trim() !== '' && !isJson) throw new UnsupportedMediaType()
  // Without a content type validation takes it for `{}` by itself; with one it would parse the empty text. Hono keeps
  // promises here, whatever its types say.
  if (text.trim() === '' && isJson) c.req.bodyCache.text = Promise.resolve('{}') as never
}
