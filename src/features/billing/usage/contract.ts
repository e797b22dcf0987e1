import { z } from '@hono/zod-openapi'
import { defineRoute, errors, json } from '#kit/http/contract.ts'
import { TooManyStreams } from '#kit/http/errors.ts'
import { PageQuery, pageOf } from '#kit/http/page.ts'
import { QUOTAS } from '#kit/quotas.ts'

const tags = ['Billing']
const read = { tags, scope: 'read', home: 'tenant' } as const

/**
 * What is charged for, and its unit: single tokens (cached ones are not among `prompt_tokens`), milliseconds that
 * steps and planning took, executions begun, bytes written to storage.
 */
export const RESOURCE_TYPES = [
  'prompt_tokens',
  'cached_tokens',
  'completion_tokens',
  'compute_ms',
  'executions',
  'storage_bytes',
] as const
export const ResourceType = z.enum(RESOURCE_TYPES)
export type ResourceType = z.infer<typeof ResourceType>

export const UnitCost = z
  .int()
  .nullable()
  .openapi({ description: 'Pico-USD per unit (1 USD = 10^12). Null: there is no price.' })

const costUsdMicros = (description: string) =>
  z
    .int()
    .nullable()
    .openapi({ description: `Quantity times unit cost in micro-USD, ${description} Null: there is no price.` })

export const Period = z.object({ start: z.iso.datetime(), end: z.iso.datetime() }).openapi({
  description: 'A calendar month in UTC; `end` is the first moment of the next.',
})

export const UsageRecord = z
  .object({
    id: z.uuid(),
    tenantId: z.uuid(),
    resourceType: ResourceType,
    quantity: z.int(),
    unitCost: UnitCost,
    costUsdMicros: costUsdMicros(
      'rounded for this record alone: for a sum, as `getCurrentUsage` and invoices make it, add up quantity times unit cost and round once.',
    ),
    metadata: z.object({
      provider: z.string().nullable(),
      model: z.string().nullable(),
      agentName: z.string().nullable(),
      userId: z.uuid().nullable(),
      dagId: z.uuid().nullable(),
      executionId: z.uuid().nullable(),
      subStepId: z.uuid().nullable(),
      priceVersion: z.string(),
    }),
    timestamp: z.iso.datetime(),
  })
  .openapi('UsageRecord')
export type UsageRecord = z.infer<typeof UsageRecord>

const CurrentUsage = z
  .object({
    period: Period,
    resources: z.array(
      z.object({
        resourceType: ResourceType,
        provider: z.string().nullable(),
        model: z.string().nullable(),
        quantity: z.int(),
        unitCost: UnitCost,
        costUsdMicros: costUsdMicros('rounded once.'),
      }),
    ),
    totals: z.object({
      costUsdMicros: z.int().openapi({ description: 'Of all that has a price.' }),
      unpricedQuantity: z.int().openapi({ description: 'Units that have none.' }),
    }),
    quotas: z
      .array(z.object({ quota: z.enum(QUOTAS), limit: z.int().nullable(), used: z.int() }))
      .openapi({ description: 'What is counted against a quota; a `limit` of null means none.' }),
  })
  .openapi('CurrentUsage')
export type CurrentUsage = z.infer<typeof CurrentUsage>

const UsageFilter = {
  from: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Inclusive.' }),
  before: z.iso.datetime({ offset: true }).optional().openapi({ description: 'Exclusive.' }),
  resourceType: ResourceType.optional(),
  model: z.string().max(200).optional(),
  executionId: z.uuid().optional(),
  dagId: z.uuid().optional(),
}
const ListUsageQuery = z.strictObject({ ...PageQuery, ...UsageFilter })
export type ListUsageQuery = z.infer<typeof ListUsageQuery>
const ExportUsageQuery = z.strictObject(UsageFilter)
export type ExportUsageQuery = z.infer<typeof ExportUsageQuery>

export const getCurrentUsage = defineRoute({
  ...read,
  operationId: 'getCurrentUsage',
  method: 'get',
  path: '/billing/usage',
  summary: 'Get what has been used in the current month, and what the quotas leave',
  responses: { 200: json(CurrentUsage, 'The usage so far') },
})

export const listUsage = defineRoute({
  ...read,
  operationId: 'listUsage',
  method: 'get',
  path: '/billing/usage/history',
  summary: 'List usage records, newest first',
  request: { query: ListUsageQuery },
  responses: { 200: json(pageOf(UsageRecord).openapi('UsageRecordPage'), 'A page of records') },
})

export const exportUsage = defineRoute({
  ...read,
  operationId: 'exportUsage',
  method: 'get',
  path: '/billing/usage/export',
  summary: 'Download usage records as CSV (RFC 4180), newest first',
  description:
    'All that match, in one stream. The first line names the columns. `costUsdPicos` (10^-12 USD) is exact and can be ' +
    'added up; `costUsdMicros` is rounded in each record. A download that breaks off is not all of it: begin again.',
  request: { query: ExportUsageQuery },
  responses: {
    200: { description: 'The records', content: { 'text/csv': { schema: z.string() } } },
    ...errors(TooManyStreams),
  },
})
