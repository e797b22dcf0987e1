import { z } from '@hono/zod-openapi'
import { defineRoute } from '#kit/http/contract.ts'

export const getMetrics = defineRoute({
  operationId: 'getMetrics',
  method: 'get',
  path: '/metrics',
  tags: ['Operations'],
  scope: 'super_admin',
  home: 'control',
  isAtRoot: true,
  isUnlimited: true,
  summary: 'Get the metrics of this process for Prometheus',
  description: 'In the text exposition format 0.0.4. Give Prometheus a super-admin key as its bearer token.',
  responses: { 200: { description: 'The metrics', content: { 'text/plain': { schema: z.string() } } } },
})
