import { z } from '@hono/zod-openapi'
import { ToolNotFound } from '#desiagent/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'

const tags = ['Tools']

export const Tool = z
  .object({
    name: z.string(),
    description: z.string(),
    parameters: z.record(z.string(), z.unknown()).openapi({ description: 'JSON Schema of what it takes.' }),
    sideEffects: z.enum(['none', 'reads-outside', 'writes-artifact', 'acts-outside']),
    requiresApproval: z.boolean(),
  })
  .openapi('Tool')

export const listTools = defineRoute({
  operationId: 'listTools',
  method: 'get',
  path: '/tools',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List the tools a plan may use',
  responses: { 200: json(z.object({ data: z.array(Tool) }).openapi('Tools'), 'All tools, by name') },
})

export const getTool = defineRoute({
  operationId: 'getTool',
  method: 'get',
  path: '/tools/{name}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Get a tool',
  request: { params: z.object({ name: z.string().min(1).max(128) }) },
  responses: { 200: json(Tool, 'The tool'), ...errors(ToolNotFound) },
})
