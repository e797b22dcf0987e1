import { z } from '@hono/zod-openapi'
import { ArtifactNotFound, ExecutionNotFound } from '#desiagent/errors.ts'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { IdParam } from '#kit/http/filters.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'

const tags = ['Artifacts']

export const Artifact = z
  .object({
    id: z.uuid(),
    executionId: z.uuid(),
    name: z.string(),
    origin: z
      .enum(['input', 'output'])
      .openapi({ description: 'Given along with the goal, or written by a sub-step.' }),
    contentType: z.string(),
    sizeBytes: z.int(),
    createdAt: z.iso.datetime(),
    updatedAt: z.iso.datetime(),
  })
  .openapi('Artifact')

export const listArtifacts = defineRoute({
  operationId: 'listArtifacts',
  method: 'get',
  path: '/executions/{id}/artifacts',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'List the files of an execution, newest first',
  request: { params: IdParam, query: z.strictObject(PageQuery) },
  responses: { 200: json(pageOf(Artifact).openapi('ArtifactPage'), 'A page of files'), ...errors(ExecutionNotFound) },
})

export const downloadArtifact = defineRoute({
  operationId: 'downloadArtifact',
  method: 'get',
  path: '/executions/{id}/artifacts/{artifactId}',
  tags,
  scope: 'read',
  home: 'tenant',
  summary: 'Download a file',
  request: { params: z.object({ id: z.uuid(), artifactId: z.uuid() }) },
  responses: {
    200: {
      description: 'Its bytes, with its media type, as an attachment',
      content: { 'application/octet-stream': { schema: z.string().openapi({ format: 'binary' }) } },
    },
    ...errors(ArtifactNotFound),
  },
})
