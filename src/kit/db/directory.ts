import type { Directory, DueWorkKind } from '#ports/directory.ts'
import type { ControlDb, ControlTables } from './control-tables.ts'
import { prepared } from './prepared.ts'

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
    async removeDueWork(kind, subjectId) {
      await db
        .deleteFrom('due_work')
        .where('tenant_id', '=', tenantId)
        .where('kind', '=', kind)
        .where('subject_id', '=', subjectId)
        .execute()
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

/** Work of these kinds that is due, oldest first, a page at a time. */
export async function listDueWork(
  db: ControlDb,
  kinds: readonly DueWorkKind[],
  now: Date,
  limit: number,
  offset: number,
): Promise<DueWork[]> {
  const rows = await db
    .selectFrom('due_work')
    .select(['tenant_id', 'kind', 'subject_id'])
    .where('kind', 'in', [...kinds])
    .where('due_at', '<=', now.toISOString())
    .orderBy('due_at')
    .orderBy('tenant_id')
    .orderBy('kind')
    .orderBy('subject_id')
    .limit(limit)
    .offset(offset)
    .execute()
  return rows.map((row) => ({ tenantId: row.tenant_id, kind: row.kind as DueWorkKind, subjectId: row.subject_id }))
}
