import type { ControlContext } from '#kit/context.ts'
import type { App } from '#kit/http/env.ts'
import { idempotent } from '#kit/http/idempotency.ts'
import { pageAnswer, pageRequest } from '#kit/http/page.ts'
import type { KeyMaking } from '../api-keys/service.ts'
import * as contract from './contract.ts'
import { acceptInvitation } from './service/accept-invitation.ts'
import { deleteUser, updateOwnUser, updateUser } from './service/change-users.ts'
import { type InvitationPost, inviteUser, showInvitation } from './service/invite-user.ts'
import { getOwnUser, getUser, listUsers } from './service/read-users.ts'

/** @param control  for the one public route: the token leads from control to its tenant */
export function mountUsers(app: App, making: KeyMaking, post: InvitationPost, control: ControlContext): void {
  app.openapi(contract.listUsers, async (c) => {
    const query = c.req.valid('query')
    const page = await listUsers(c.get('tenant'), query, pageRequest(query))
    return c.json(pageAnswer(page, query), 200)
  })

  app.openapi(contract.getOwnUser, async (c) => c.json(await getOwnUser(c.get('tenant')), 200))

  app.openapi(contract.updateOwnUser, async (c) =>
    c.json(await updateOwnUser(c.get('tenant'), c.req.valid('json')), 200),
  )

  app.openapi(contract.inviteUser, (c) =>
    idempotent(
      c,
      async (ctx) => c.json(await inviteUser(ctx, post, c.req.valid('json')), 201),
      async (ctx, made) => c.json(await showInvitation(ctx, post, made), 201),
    ),
  )

  app.openapi(contract.acceptInvitation, async (c) => {
    const accepted = await acceptInvitation(control, making, c.req.valid('json'))
    return c.json(accepted, 201)
  })

  app.openapi(contract.getUser, async (c) => {
    const user = await getUser(c.get('tenant'), c.req.valid('param').id)
    return c.json(user, 200)
  })

  app.openapi(contract.updateUser, async (c) => {
    const user = await updateUser(c.get('tenant'), c.req.valid('param').id, c.req.valid('json'))
    return c.json(user, 200)
  })

  app.openapi(contract.deleteUser, async (c) => {
    await deleteUser(c.get('tenant'), c.req.valid('param').id)
    return c.body(null, 204)
  })
}
