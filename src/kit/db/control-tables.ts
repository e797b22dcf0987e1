import type { Kysely } from 'kysely'
import type { IdempotencyKeysTable, SearchWordsTable } from './tenant-tables.ts'

/** The one shared database. */
export type ControlDb = Kysely<ControlTables>

export interface ControlTables {
  tenants: {
    id: string
    name: string
    slug: string
    status: string
    plan: string
    quotas: string
    created_at: string
    updated_at: string
  }
  key_index: { key_id: string; tenant_id: string }
  admin_keys: {
    id: string
    key_id: string
    name: string
    key_prefix: string
    hash: string
    created_at: string
    revoked_at: string | null
  }
  due_work: { tenant_id: string; kind: string; subject_id: string; due_at: string }
  signing_keys: { purpose: string; secret: string; created_at: string }
  idempotency_keys: IdempotencyKeysTable
  search_words: SearchWordsTable
}
