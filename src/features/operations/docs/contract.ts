import { z } from '@hono/zod-openapi'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { NotFound } from '#kit/http/errors.ts'

const tags = ['Operations']

export const getOpenApi = defineRoute({
  operationId: 'getOpenApi',
  method: 'get',
  path: '/openapi.json',
  tags,
  scope: 'public',
  home: 'none',
  summary: 'Get this description of the API',
  responses: { 200: json(z.record(z.string(), z.unknown()), 'OpenAPI 3.1') },
})

export const getDocs = defineRoute({
  operationId: 'getDocs',
  method: 'get',
  path: '/docs',
  tags,
  scope: 'public',
  home: 'none',
  isUnlimited: true,
  summary: 'Explore the API in Swagger UI',
  responses: { 200: { description: 'The page', content: { 'text/html': { schema: z.string() } } } },
})

export const getDocsAsset = defineRoute({
  operationId: 'getDocsAsset',
  method: 'get',
  path: '/docs/{file}',
  tags,
  scope: 'public',
  home: 'none',
  isUnlimited: true,
  summary: 'Get a file of the documentation page',
  request: { params: z.object({ file: z.string().max(100) }) },
  responses: {
    200: {
      description: 'The file',
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
    },
    ...errors(NotFound),
  },
})
