import type { TenantDb } from '#kit/db/tenant-tables.ts'
import type { Charge } from '../limits/budget.ts'
import type { Settlement } from './executions.ts'

/** What calls in flight may use of an execution's limits. It is given back with what they did use; see `changeExecution`. */

/** @returns false when the execution is not run by this owner any more */
export async function keepReserved(
  db: TenantDb,
  id: string,
  owner: string,
  { tokens, costUsdMicros }: Charge,
): Promise<boolean> {
  const { numUpdatedRows } = await db
    .updateTable('executions')
    .set((eb) => ({
      reserved_tokens: eb('reserved_tokens', '+', tokens),
      reserved_cost_usd_micros: eb('reserved_cost_usd_micros', '+', costUsdMicros),
    }))
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
    .executeTakeFirstOrThrow()
  return numUpdatedRows === 1n
}

/** For calls that came back after their execution was stopped. Whoever has claimed it since has charged them already. */
export async function settleUnclaimed(tx: TenantDb, id: string, { charged, released }: Settlement): Promise<void> {
  await tx
    .updateTable('executions')
    .set((eb) => ({
      charged_tokens: eb('charged_tokens', '+', charged.tokens),
      charged_cost_usd_micros: eb('charged_cost_usd_micros', '+', charged.costUsdMicros),
      reserved_tokens: eb('reserved_tokens', '-', released.tokens),
      reserved_cost_usd_micros: eb('reserved_cost_usd_micros', '-', released.costUsdMicros),
    }))
    .where('id', '=', id)
    .where('lease_owner', 'is', null)
    .where('reserved_tokens', '>=', released.tokens)
    .execute()
}

/** How long it has run, for the case that its process dies before it changes anything. */
export async function keepRanMs(db: TenantDb, id: string, owner: string, ranMs: number): Promise<void> {
  await db
    .updateTable('executions')
    .set({ ran_ms: ranMs })
    .where('id', '=', id)
    .where('lease_owner', '=', owner)
    .execute()
}
