import type { Directory, DueWorkKind } from '#ports/directory.ts'
import { addMilliseconds } from '../time.ts'
import type { ControlDb, ControlTables } from './control-tables.ts'
import { prepared } from './prepared.ts'

const IDS_PER_STATEMENT = 90

/** The directory as one tenant sees it. Index rows are written before what they lead to, and removed after it. */
export function directoryOf(db: ControlDb, tenantId: string): Directory {
  return {
    async registerKey(keyId) {
      await db.insertInto('key_index').values({ key_id: keyId, tenant_id: tenantId }).execute()
    },
    async removeKey(...keyIds) {
      if (keyIds.length === 0) return
      await db.deleteFrom('key_index').where('key_id', 'in', keyIds).where('tenant_id', '=', tenantId).execute()
    },
    async putDueWork(kind, subjectId, dueAt) {
      await db
        .insertInto('due_work')
        .values({ tenant_id: tenantId, kind, subject_id: subjectId, due_at: dueAt })
        .onConflict((conflict) => conflict.columns(['tenant_id', 'kind', 'subject_id']).doUpdateSet({ due_at: dueAt }))
        .execute()
    },
    async removeDueWork(kind, ...subjectIds) {
      for (let start = 0; start < subjectIds.length; start += IDS_PER_STATEMENT) {
        await db
          .deleteFrom('due_work')
          .where('tenant_id', '=', tenantId)
          .where('kind', '=', kind)
          .where('subject_id', 'in', subjectIds.slice(start, start + IDS_PER_STATEMENT))
          .execute()
      }
    },
  }
}

const tenantOfKey = prepared<ControlTables, { keyId: string }, { tenant_id: string }>((db, { keyId }) =>
  db.selectFrom('key_index').select('tenant_id').where('key_id', '=', keyId),
)

/** The tenant a key belongs to, or null. Tells nothing else about the key. */
export async function findTenantOfKey(db: ControlDb, keyId: string): Promise<string | null> {
  const [row] = await tenantOfKey(db, { keyId })
  return row?.tenant_id ?? null
}

/** The active tenant that was made last, or null. */
export async function findNewestTenant(db: ControlDb): Promise<string | null> {
  const [row] = await db
    .selectFrom('tenants')
    .select('id')
    .where('status', '=', 'active')
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .execute()
  return row?.id ?? null
}

export interface DueWork {
  tenantId: string
  kind: DueWorkKind
  subjectId: string
}

/**
 * For so long nobody else looks at work that somebody has taken, or is about to do himself. Long enough for what is
 * done at once, also in a process under load; short enough to wait for when that process has died.
 */
const TAKEN_FOR_MS = 30_000

/** When somebody else is to look at work that is begun now. ISO 8601. */
export function lookAgainAt(now: Date): string {
  return addMilliseconds(now, TAKEN_FOR_MS).toISOString()
}

/**
 * Takes due work, oldest first, and moves it out of the way of everybody else who asks, whichever process they are: each
 * piece is given to one. Whoever takes it removes the row, or sets its new time, when they are done; if they fail or die
 * it comes up again.
 *
 * @param until  ISO 8601; when it comes up again
 * @param kinds  only these; all when left out
 */
export async function claimDueWork(
  db: ControlDb,
  now: Date,
  until: string,
  limit: number,
  kinds?: readonly DueWorkKind[],
): Promise<DueWork[]> {
  const at = now.toISOString()
  const rows = await db
    .updateTable('due_work')
    .set({ due_at: until })
    .where(({ eb, refTuple, selectFrom }) => {
      let due = selectFrom('due_work').select(['tenant_id', 'kind', 'subject_id']).where('due_at', '<=', at)
      if (kinds) due = due.where('kind', 'in', [...kinds])
      const oldest = due.orderBy('due_at').limit(limit)
      return eb(refTuple('tenant_id', 'kind', 'subject_id'), 'in', oldest.$asTuple('tenant_id', 'kind', 'subject_id'))
    })
    .where('due_at', '<=', at) // again: somebody else may have taken it since the subquery saw it
    .returning(['tenant_id', 'kind', 'subject_id'])
    .execute()
  return rows.map((row) => ({ tenantId: row.tenant_id, kind: row.kind as DueWorkKind, subjectId: row.subject_id }))
}

/**
 * Makes due at once what a dead process was at: all work of these kinds, and of the others what it may have taken a
 * moment ago. Whoever finds that he was called too early sets the time again.
 */
export async function bringForward(db: ControlDb, kinds: readonly DueWorkKind[], now: Date): Promise<void> {
  const at = now.toISOString()
  await db
    .updateTable('due_work')
    .set({ due_at: at })
    .where('due_at', '>', at)
    .where((eb) => eb.or([eb('kind', 'in', [...kinds]), eb('due_at', '<=', lookAgainAt(now))]))
    .execute()
}

/** As `putDueWork` of a directory, but never moves the time of what is due already. */
export async function putDueWorkOnce(
  db: ControlDb,
  { tenantId, kind, subjectId }: DueWork,
  dueAt: string,
): Promise<void> {
  await db
    .insertInto('due_work')
    .values({ tenant_id: tenantId, kind, subject_id: subjectId, due_at: dueAt })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
}
