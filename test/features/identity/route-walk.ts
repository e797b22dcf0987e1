import type { RouteContract } from '#kit/http/contract.ts'
import { BASE_PATH, contracts } from '#src/contracts.ts'
import type { Answer, Client } from '#test/support/client.ts'

export const tenantRoutes = contracts.filter(({ home }) => home === 'tenant')
export const controlRoutes = contracts.filter(({ home }) => home === 'control')
/** Routes for any good key, of a tenant or of the super admin. */
export const callerRoutes = contracts.filter(({ home }) => home === 'caller')
export const publicRoutes = contracts.filter(({ scope }) => scope === 'public')

export function name({ method, path }: RouteContract): string {
  return `${method.toUpperCase()} ${path}`
}

/** Calls a route with these path parameters; what is not given is a random id. */
export async function callRoute(
  client: Client,
  route: RouteContract,
  parameters: Record<string, string> = {},
  body?: object,
): Promise<Answer> {
  const path = route.path.replaceAll(/\{(\w+)\}/g, (_, parameter) => parameters[parameter] ?? crypto.randomUUID())
  const json = body && { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
  const response = await client.raw((route.isAtRoot ? '' : BASE_PATH) + path, {
    method: route.method.toUpperCase(),
    ...json,
  })
  if (response.headers.get('content-type') === 'text/event-stream; charset=utf-8') {
    await response.body?.cancel()
    return { status: response.status, body: null, headers: response.headers }
  }
  const text = await response.text()
  return { status: response.status, body: asJson(text), headers: response.headers }
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
