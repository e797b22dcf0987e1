import { z } from '@hono/zod-openapi'
import { ROLES } from '#kit/context.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { SecretNoLongerAvailable } from '#kit/http/errors.ts'
import { CreatedRange, IdParam, Search } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { NewApiKey } from '../api-keys/contract.ts'
import { InvitationNotFound, LastAdmin, MailFailed, UserExists, UserNotFound, UserStatusConflict } from './errors.ts'

const tags = ['Users']

export const USER_STATUSES = ['invited', 'active', 'removed'] as const

const Email = z.email().max(254)
const Name = z.string().trim().min(1).max(200)
const Role = z
  .enum(ROLES)
  .openapi({ description: 'Bounds what the keys of the user may do: `viewer` reads, `member` works.' })

export const User = z
  .object({
    id: z.uuid(),
    email: z.string(),
    name: z.string(),
    role: Role,
    status: z.enum(USER_STATUSES),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
    lastLoginAt: z.iso.datetime().nullable(),
  })
  .openapi('User')
export type User = z.infer<typeof User>

export const UpdateUser = z
  .strictObject({
    name: Name.optional(),
    role: Role.optional(),
    status: z.enum(['active', 'removed']).optional().openapi({
      description:
        '`removed` is what `deleteUser` does; `active` takes a removed user back, without keys: invite the address again.',
    }),
  })
  .openapi('UpdateUser')
export type UpdateUser = z.infer<typeof UpdateUser>

export const UpdateOwnUser = z.strictObject({ name: Name }).openapi('UpdateOwnUser')
export type UpdateOwnUser = z.infer<typeof UpdateOwnUser>

export const InviteUser = z
  .strictObject({ email: Email, name: Name.optional(), role: Role.default('member') })
  .openapi('InviteUser')
export type InviteUser = z.infer<typeof InviteUser>

const Invitation = z
  .object({
    user: User,
    expiresAt: z.iso.datetime().openapi({ description: 'Seven days after the invitation.' }),
    isMailed: z.boolean().openapi({ description: 'Whether the token went to the address by mail.' }),
    token: z.string().nullable().openapi({
      description: 'For `acceptInvitation`. Shown this once, and only when the server sends no mail; never stored.',
    }),
  })
  .openapi('Invitation')
export type Invitation = z.infer<typeof Invitation>

export const AcceptInvitation = z
  .strictObject({ token: z.string().min(1).max(200), name: Name.optional() })
  .openapi('AcceptInvitation')
export type AcceptInvitation = z.infer<typeof AcceptInvitation>

const AcceptedInvitation = z
  .object({
    tenant: z.object({ id: z.uuid(), name: z.string(), slug: z.string() }),
    user: User,
    apiKey: NewApiKey,
  })
  .openapi('AcceptedInvitation')
export type AcceptedInvitation = z.infer<typeof AcceptedInvitation>

const ListUsersQuery = z.strictObject({
  ...PageQuery,
  role: z.enum(ROLES).optional(),
  status: z.enum(USER_STATUSES).optional().openapi({ description: 'Removed users are listed only when asked for.' }),
  search: Search,
  ...CreatedRange,
})
export type ListUsersQuery = z.infer<typeof ListUsersQuery>

export const listUsers = defineRoute({
  operationId: 'listUsers',
  method: 'get',
  path: '/users',
  tags,
  scope: 'admin',
  home: 'tenant',
  summary: 'List the users of the tenant, newest first',
  request: { query: ListUsersQuery },
  responses: { 200: json(pageOf(User).openapi('UserPage'), 'A page of users') },
})

export const getOwnUser = defineRoute({
  operationId: 'getOwnUser',
  method: 'get',
  path: '/users/me',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get the user the key belongs to',
  responses: { 200: json(User, 'The user'), ...errors(UserNotFound) },
})

export const updateOwnUser = defineRoute({
  operationId: 'updateOwnUser',
  method: 'patch',
  path: '/users/me',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Change the own name',
  request: { body: { required: true, ...json(UpdateOwnUser, 'What to change') } },
  responses: { 200: json(User, 'The user'), ...errors(UserNotFound) },
})

export const inviteUser = defineRoute({
  operationId: 'inviteUser',
  method: 'post',
  path: '/users/invite',
  tags,
  scope: 'admin',
  home: 'tenant',
  rateClass: 'auth',
  isIdempotent: true,
  summary: 'Invite somebody into the tenant',
  description:
    'An address that is invited already gets a new token, in place of the one before. So does an active user who has no key ' +
    'left that works; name and role stay as they are then.',
  request: { body: { required: true, ...json(InviteUser, 'Whom, and as what') } },
  responses: {
    201: json(Invitation, 'The invitation'),
    ...errors(UserExists, QuotaExceeded, MailFailed, SecretNoLongerAvailable),
  },
})

export const acceptInvitation = defineRoute({
  operationId: 'acceptInvitation',
  method: 'post',
  path: '/users/invite/accept',
  tags,
  scope: 'public',
  home: 'none',
  summary: 'Accept an invitation and get a first API key',
  description:
    'The token leads to its tenant. It works once. The key has all scopes that the role allows. In case the answer is lost, ' +
    'the same token answers the same user and key for ten minutes.',
  request: { body: { required: true, ...json(AcceptInvitation, 'The token') } },
  responses: { 201: json(AcceptedInvitation, 'The user and the key'), ...errors(InvitationNotFound) },
})

export const getUser = defineRoute({
  operationId: 'getUser',
  method: 'get',
  path: '/users/{id}',
  tags,
  scope: 'admin',
  home: 'tenant',
  summary: 'Get a user',
  request: { params: IdParam },
  responses: { 200: json(User, 'The user'), ...errors(UserNotFound) },
})

export const updateUser = defineRoute({
  operationId: 'updateUser',
  method: 'patch',
  path: '/users/{id}',
  tags,
  scope: 'admin',
  home: 'tenant',
  summary: 'Change name, role or status of a user; what is left out stays',
  description: 'A new role counts at the next request of each of the user’s keys.',
  request: { params: IdParam, body: { required: true, ...json(UpdateUser, 'What to change') } },
  responses: {
    200: json(User, 'The user'),
    ...errors(UserNotFound, LastAdmin, UserExists, UserStatusConflict, QuotaExceeded),
  },
})

export const deleteUser = defineRoute({
  operationId: 'deleteUser',
  method: 'delete',
  path: '/users/{id}',
  tags,
  scope: 'admin',
  home: 'tenant',
  summary: 'Remove a user; the user’s keys stop at once',
  description:
    'Open invitations to and by the user are withdrawn, service keys and all else the user made stay. Removing twice answers the same.',
  request: { params: IdParam },
  responses: { 204: { description: 'Removed' }, ...errors(UserNotFound, LastAdmin) },
})
