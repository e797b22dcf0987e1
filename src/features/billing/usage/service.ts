import { boundsOf, periodOf } from '#kit/billing-period.ts'
import type { TenantContext } from '#kit/context.ts'
import type { Page, PageRequest } from '#kit/db/page.ts'
import { toIso } from '#kit/http/filters.ts'
import { usdMicrosOf } from './amounts.ts'
import type { CurrentUsage, ExportUsageQuery, ListUsageQuery, UsageRecord } from './contract.ts'
import { listQuotas } from './quotas.ts'
import * as rows from './repository.ts'

/** What has been used since the month began, and what the quotas leave. */
export async function getCurrentUsage(ctx: TenantContext): Promise<CurrentUsage> {
  const period = periodOf(ctx.now())
  const totals = await rows.listTotals(ctx.db, period)
  const resources = totals.map((total) => ({ ...total, costUsdMicros: usdMicrosOf(total.quantity, total.unitCost) }))
  const unpriced = totals.filter(({ unitCost }) => unitCost === null)
  return {
    period: boundsOf(period),
    resources,
    totals: {
      costUsdMicros: resources.reduce((sum, { costUsdMicros }) => sum + (costUsdMicros ?? 0), 0),
      unpricedQuantity: unpriced.reduce((sum, { quantity }) => sum + quantity, 0),
    },
    quotas: await listQuotas(ctx, period),
  }
}

export async function listUsage(
  ctx: TenantContext,
  query: ListUsageQuery,
  page: PageRequest,
): Promise<Page<UsageRecord>> {
  const found = await rows.listUsage(ctx.db, filterOf(query), page)
  return { ...found, rows: found.rows.map((row) => rows.toUsageRecord(row, ctx.tenant.id)) }
}

/** As rows hold them: moments in one form, so that they can be compared as text. */
export function filterOf(query: ExportUsageQuery): rows.UsageFilter {
  const { resourceType, model, executionId, dagId } = query
  return { resourceType, model, executionId, dagId, from: toIso(query.from), before: toIso(query.before) }
}
