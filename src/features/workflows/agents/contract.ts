import { z } from '@hono/zod-openapi'
import { AgentActive, AgentNotFound, AgentVersionTaken, UnknownTools } from '#desiagent/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { CreatedRange, IdParam, Search } from '#kit/http/filters.ts'
import { freeFormObject } from '#kit/http/free-form.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QuotaExceeded } from '#kit/quotas.ts'
import { MaxTokens, ModelName, Provider, Temperature } from '../schemas.ts'

const tags = ['Agents']

const Constraints = z
  .strictObject({
    maxTokens: MaxTokens.optional(),
    temperature: Temperature.optional(),
    topP: z.number().min(0).max(1).optional(),
    maxSteps: z.int().min(1).max(1_000).optional(),
    timeoutMs: z.int().min(100).max(600_000).optional(),
  })
  .openapi('AgentConstraints')

const AgentName = z
  .string()
  .regex(/^[A-Za-z][\w.-]{0,99}$/, 'Begin with a letter; letters, digits, dot, hyphen and underscore; at most 100.')
  .openapi({ example: 'inference' })
const Version = z
  .string()
  .regex(/^[\w.+-]{1,50}$/, 'Letters, digits, dot, plus, hyphen and underscore; at most 50.')
  .openapi({ example: '1.0.0' })
const Description = z.string().max(2_000)
const SystemPrompt = z.string().min(1).max(100_000)
const AllowedTools = z
  .array(z.string().min(1).max(128))
  .max(100)
  .openapi({ description: 'Tools a plan of this agent may use. Left out: all.' })
const Metadata = freeFormObject()
  .refine((value) => JSON.stringify(value).length <= 20_000, 'At most 20,000 characters as JSON.')
  .openapi({ description: 'Anything you want to keep with it.' })

export const Agent = z
  .object({
    id: z.uuid(),
    name: AgentName,
    version: Version,
    description: z.string().nullable(),
    systemPrompt: z.string(),
    provider: z.string().nullable().openapi({ description: "Null: the request's or the server's." }),
    model: z.string().nullable(),
    isActive: z.boolean().openapi({ description: 'Whether its name stands for this version.' }),
    allowedTools: z.array(z.string()).nullable(),
    constraints: z.union([Constraints, z.null()]),
    metadata: z.record(z.string(), z.unknown()),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Agent')

export const CreateAgent = z
  .strictObject({
    name: AgentName,
    version: Version,
    description: Description.optional(),
    systemPrompt: SystemPrompt,
    provider: Provider.optional(),
    model: ModelName.optional(),
    allowedTools: AllowedTools.optional(),
    constraints: Constraints.optional(),
    metadata: Metadata.default({}),
  })
  .openapi('CreateAgent')
export type CreateAgent = z.infer<typeof CreateAgent>

export const UpdateAgent = z
  .strictObject({
    name: AgentName.optional(),
    version: Version.optional(),
    description: Description.nullable().optional(),
    systemPrompt: SystemPrompt.optional(),
    provider: Provider.nullable().optional(),
    model: ModelName.nullable().optional(),
    allowedTools: AllowedTools.nullable().optional(),
    constraints: z.union([Constraints, z.null()]).optional(),
    metadata: Metadata.optional(),
  })
  .openapi('UpdateAgent')
export type UpdateAgent = z.infer<typeof UpdateAgent>

const ListAgentsQuery = z.strictObject({
  ...PageQuery,
  name: z.string().max(100).optional().openapi({ description: 'All versions of this name.' }),
  status: z.enum(['active', 'inactive']).optional(),
  search: Search,
  ...CreatedRange,
})
export type ListAgentsQuery = z.infer<typeof ListAgentsQuery>

export const listAgents = defineRoute({
  operationId: 'listAgents',
  method: 'get',
  path: '/agents',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List agents, newest first',
  request: { query: ListAgentsQuery },
  responses: { 200: json(pageOf(Agent).openapi('AgentPage'), 'A page of agents') },
})

export const createAgent = defineRoute({
  operationId: 'createAgent',
  method: 'post',
  path: '/agents',
  tags,
  scope: 'write',
  home: 'tenant',
  isIdempotent: true,
  summary: 'Create a version of an agent, inactive',
  request: { body: { required: true, ...json(CreateAgent, 'The agent') } },
  responses: { 201: json(Agent, 'The agent'), ...errors(AgentVersionTaken, UnknownTools, QuotaExceeded) },
})

export const resolveAgent = defineRoute({
  operationId: 'resolveAgent',
  method: 'get',
  path: '/agents/resolve/{name}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get the active version of a name',
  request: { params: z.object({ name: AgentName }) },
  responses: { 200: json(Agent, 'The active version'), ...errors(AgentNotFound) },
})

export const getAgent = defineRoute({
  operationId: 'getAgent',
  method: 'get',
  path: '/agents/{id}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get an agent',
  request: { params: IdParam },
  responses: { 200: json(Agent, 'The agent'), ...errors(AgentNotFound) },
})

export const updateAgent = defineRoute({
  operationId: 'updateAgent',
  method: 'patch',
  path: '/agents/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Change an agent; fields that are left out stay',
  request: { params: IdParam, body: { required: true, ...json(UpdateAgent, 'What to change') } },
  responses: { 200: json(Agent, 'The agent'), ...errors(AgentNotFound, AgentVersionTaken, AgentActive, UnknownTools) },
})

export const activateAgent = defineRoute({
  operationId: 'activateAgent',
  method: 'post',
  path: '/agents/{id}/activate',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Make this version the one its name stands for',
  request: { params: IdParam },
  responses: { 200: json(Agent, 'The agent'), ...errors(AgentNotFound) },
})

export const deleteAgent = defineRoute({
  operationId: 'deleteAgent',
  method: 'delete',
  path: '/agents/{id}',
  tags,
  scope: 'write',
  home: 'tenant',
  summary: 'Delete an inactive version',
  request: { params: IdParam },
  responses: { 204: { description: 'Deleted' }, ...errors(AgentNotFound, AgentActive) },
})
