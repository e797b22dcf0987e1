import { z } from '@hono/zod-openapi'
import { defineError } from '#kit/errors.ts'

export const UserNotFound = defineError({
  code: 'user_not_found',
  kind: 'not_found',
  message: 'There is no such user.',
})

export const UserExists = defineError({
  code: 'user_exists',
  kind: 'conflict',
  message: 'There already is a user with this e-mail address, who has a key that works.',
  details: z.object({ email: z.string() }),
})

export const LastAdmin = defineError({
  code: 'last_admin',
  kind: 'conflict',
  message: 'A tenant needs at least one active admin. Make somebody else an admin first.',
})

export const UserStatusConflict = defineError({
  code: 'user_status_conflict',
  kind: 'conflict',
  message: 'A user becomes active by accepting an invitation.',
  details: z.object({ status: z.string() }),
})

export const InvitationNotFound = defineError({
  code: 'invitation_not_found',
  kind: 'not_found',
  message: 'This invitation is not valid. It may be mistyped, used, replaced or expired.',
})

export const MailFailed = defineError({
  code: 'mail_failed',
  kind: 'upstream',
  message: 'The invitation was made, but its mail could not be sent. Invite the address again.',
})
