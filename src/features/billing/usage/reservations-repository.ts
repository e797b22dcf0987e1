import { prepared } from '#kit/db/prepared.ts'
import type { TenantDb, TenantTables } from '#kit/db/tenant-tables.ts'
import { TOKENS } from './repository.ts'

export interface Reservation {
  id: string
  tokens: number
  /** ISO 8601 */
  expiresAt: string
}

export async function insertReservation(tx: TenantDb, { id, tokens, expiresAt }: Reservation): Promise<void> {
  await tx.insertInto('token_reservations').values({ id, tokens, expires_at: expiresAt }).execute()
}

const IDS_PER_STATEMENT = 100 // parameters

/** One that has gone already is no error. */
export async function deleteReservations(tx: TenantDb, ids: readonly string[]): Promise<void> {
  for (let start = 0; start < ids.length; start += IDS_PER_STATEMENT) {
    const some = ids.slice(start, start + IDS_PER_STATEMENT)
    await tx.deleteFrom('token_reservations').where('id', 'in', some).execute()
  }
}

export async function deleteExpired(tx: TenantDb, now: string): Promise<void> {
  await tx.deleteFrom('token_reservations').where('expires_at', '<=', now).execute()
}

/**
 * Used and reserved in one statement, which sees one moment: between two, a call could go from the reservations to the
 * totals and be in neither.
 */
const takenOf = prepared<TenantTables, { period: string; now: string }, { used: number; reserved: number }>(
  (db, { period, now }) =>
    db.selectNoFrom((eb) => [
      eb
        .selectFrom('usage_totals')
        .select(({ fn }) => fn.sum<number>('quantity').as('used'))
        .where('period', '=', period)
        .where('resource_type', 'in', TOKENS)
        .as('used'),
      eb
        .selectFrom('token_reservations')
        .select(({ fn }) => fn.sum<number>('tokens').as('reserved'))
        .where('expires_at', '>', now)
        .as('reserved'),
    ]),
)

/** Tokens that were used in a month (`YYYY-MM`), and that are set aside now (ISO 8601) for calls in flight. */
export async function sumTokensTaken(
  db: TenantDb,
  period: string,
  now: string,
): Promise<{ used: number; reserved: number }> {
  const [row] = await takenOf(db, { period, now })
  return { used: Number(row?.used ?? 0), reserved: Number(row?.reserved ?? 0) }
}
