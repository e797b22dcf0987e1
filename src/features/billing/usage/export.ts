import { readStanding } from '#features/identity/tenants/service.ts'
import type { TenantContext } from '#kit/context.ts'
import { csvRecord } from '#kit/csv.ts'
import type { Position } from '#kit/db/page.ts'
import type { OpenStreams } from '#kit/http/open-streams.ts'
import type { TextSource } from '#kit/http/text-stream.ts'
import { usdPicosOf } from './amounts.ts'
import type { ExportUsageQuery, UsageRecord } from './contract.ts'
import * as rows from './repository.ts'
import { filterOf } from './service.ts'

const RECORDS_PER_READ = 200

/** The columns, in order, and what stands in them. */
const COLUMNS: Record<string, (record: UsageRecord) => string | number | null> = {
  id: ({ id }) => id,
  timestamp: ({ timestamp }) => timestamp,
  tenantId: ({ tenantId }) => tenantId,
  resourceType: ({ resourceType }) => resourceType,
  quantity: ({ quantity }) => quantity,
  unitCost: ({ unitCost }) => unitCost,
  costUsdMicros: ({ costUsdMicros }) => costUsdMicros,
  costUsdPicos: ({ quantity, unitCost }) => usdPicosOf(quantity, unitCost)?.toString() ?? null,
  provider: ({ metadata }) => metadata.provider,
  model: ({ metadata }) => metadata.model,
  agentName: ({ metadata }) => metadata.agentName,
  userId: ({ metadata }) => metadata.userId,
  dagId: ({ metadata }) => metadata.dagId,
  executionId: ({ metadata }) => metadata.executionId,
  subStepId: ({ metadata }) => metadata.subStepId,
  priceVersion: ({ metadata }) => metadata.priceVersion,
}

/**
 * All records that match as CSV (RFC 4180), read a page at a time. Holds the tenant's database open until it is ended;
 * records that are written meanwhile are newer than what was begun with, and not in it.
 *
 * @throws TooManyStreams
 */
export function exportUsage(ctx: TenantContext, query: ExportUsageQuery, streams: OpenStreams): TextSource {
  const filter = filterOf(query)
  const leave = streams.enter(ctx.tenant.id)
  const letGo = ctx.hold()
  let cursor: Position | null = null
  let isFirst = true
  return {
    async next() {
      if (cursor === null && !isFirst) return null
      await assertStillAllowed(ctx)
      const request = { limit: RECORDS_PER_READ, offset: 0, cursor, includeTotal: false }
      const page = await rows.listUsage(ctx.db, filter, request)
      const records = page.rows.map((row) => recordOf(rows.toUsageRecord(row, ctx.tenant.id)))
      const text = (isFirst ? [csvRecord(Object.keys(COLUMNS)), ...records] : records).join('')
      cursor = page.next
      isFirst = false
      return text
    },
    end: () => {
      letGo()
      leave()
    },
  }
}

/** Breaks the body off: one that just ended would say that this was all. */
async function assertStillAllowed(ctx: TenantContext): Promise<void> {
  const { isActive } = await readStanding(ctx.db)
  if (!isActive || !(await ctx.isKeyStillGood())) throw new Error('the key is let in no more')
}

function recordOf(record: UsageRecord): string {
  return csvRecord(Object.values(COLUMNS).map((read) => read(record)))
}
