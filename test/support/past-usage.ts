import type { Used } from '#desiagent/metering.ts'
import { createMetering } from '#features/billing/usage/metering.ts'
import { transaction } from '#kit/db/transaction.ts'
import { newId } from '#kit/ids.ts'
import type { TestApi } from './start-api.ts'

export const NOBODYS = { dagId: null, executionId: null, subStepId: null, userId: null }

/** Books usage for moments (ISO 8601) that no test can wait for, through the metering that desiAgent uses. */
export async function bookUsage(
  api: TestApi,
  tenantId: string,
  moments: readonly string[],
  used: Omit<Used, 'for'> = { executions: 1 },
): Promise<void> {
  const { homes, now } = api.api.stores
  const metering = createMetering({ newId, now })
  await homes.use(tenantId, (db) =>
    transaction(db, async (tx) => {
      for (const at of moments) await metering.record(tx, { ...used, for: NOBODYS }, at)
    }),
  )
}

/** Gives the tenant the invoice of January 2026. */
export async function writeInvoice(api: TestApi, tenantId: string): Promise<void> {
  await bookUsage(api, tenantId, ['2026-01-15T12:00:00.000Z'])
  await api.api.stores.tenants.run(tenantId, 'closeMonth', { period: '2026-01', at: '2026-02-01T00:10:00.000Z' })
}
