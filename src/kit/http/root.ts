import { OpenAPIHono } from '@hono/zod-openapi'
import type { MiddlewareHandler } from 'hono'
import { methodNotAllowed } from 'hono/method-not-allowed'
import type { RouteContract } from './contract.ts'
import type { App, Env } from './env.ts'
import { answer, errorHandler } from './error-response.ts'
import { MethodNotAllowed, RouteNotFound, ValidationFailed } from './errors.ts'
import { type FrameOptions, frame } from './frame.ts'

/** An application without a route yet: the frame around every request, and the one form for all that goes wrong. */
export function createRoot(options: FrameOptions): OpenAPIHono<Env> {
  const root = new OpenAPIHono<Env>({ defaultHook: refuseInvalid })
  root.onError(errorHandler(options.log))
  root.notFound((c) => answer(c, new RouteNotFound()))
  root.use(frame(options))
  root.use(
    methodNotAllowed({
      app: root,
      onMethodNotAllowed: (c, allowed) => {
        c.header('Allow', allowed.join(', '))
        return answer(c as never, new MethodNotAllowed({ allowed }))
      },
    }),
  )
  return root
}

/** The only way to mount a route: its contract decides what runs in front of it and where it stands. */
export function guarded(
  root: OpenAPIHono<Env>,
  basePath: string,
  guard: (route: RouteContract) => MiddlewareHandler<Env>[],
): App {
  const openapi = (route: RouteContract, handler: never) => {
    const path = route.isAtRoot ? route.path : basePath + route.path
    return root.openapi({ ...route, path, middleware: guard(route) } as never, handler)
  }
  return { openapi: openapi as never }
}

interface Validation {
  success: boolean
  error?: { issues: readonly { path: readonly PropertyKey[]; message: string }[] }
}

function refuseInvalid({ success, error }: Validation): void {
  if (success) return
  const problems = error?.issues.map(({ path, message }) => ({ path: path.map(String).join('.'), message })) ?? []
  throw new ValidationFailed(problems)
}
