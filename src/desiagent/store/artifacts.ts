import type { Selectable } from 'kysely'
import { insertMany } from '#kit/db/insert-many.ts'
import { fetchPage, type Page, type PageRequest } from '#kit/db/page.ts'
import type { ArtifactsTable, TenantDb } from '#kit/db/tenant-tables.ts'

export interface Artifact {
  id: string
  executionId: string
  name: string
  origin: 'input' | 'output'
  contentType: string
  sizeBytes: number
  createdAt: string
  updatedAt: string
}

export interface StoredArtifact extends Artifact {
  blobKey: string
}

export type NewArtifact = Omit<StoredArtifact, 'updatedAt'>

export async function insertArtifacts(tx: TenantDb, artifacts: readonly NewArtifact[]): Promise<void> {
  await insertMany(tx, 'artifacts', artifacts.map(toRow))
}

/** Writes an artifact, or puts it in the place of the one with its name. */
export async function putArtifact(tx: TenantDb, artifact: NewArtifact): Promise<void> {
  const row = toRow(artifact)
  const { origin, content_type, size_bytes, blob_key, updated_at } = row
  await tx
    .insertInto('artifacts')
    .values(row)
    .onConflict((conflict) =>
      conflict
        .columns(['execution_id', 'name'])
        .doUpdateSet({ origin, content_type, size_bytes, blob_key, updated_at }),
    )
    .execute()
}

export async function findArtifact(db: TenantDb, executionId: string, name: string): Promise<StoredArtifact | null> {
  const row = await db
    .selectFrom('artifacts')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('name', '=', name)
    .executeTakeFirst()
  return row ? toArtifact(row) : null
}

export async function findArtifactById(db: TenantDb, executionId: string, id: string): Promise<StoredArtifact | null> {
  const row = await db
    .selectFrom('artifacts')
    .selectAll()
    .where('execution_id', '=', executionId)
    .where('id', '=', id)
    .executeTakeFirst()
  return row ? toArtifact(row) : null
}

export async function listArtifacts(
  db: TenantDb,
  executionId: string,
  page: PageRequest,
): Promise<Page<StoredArtifact>> {
  const found = await fetchPage(db.selectFrom('artifacts').selectAll().where('execution_id', '=', executionId), page)
  return { ...found, rows: found.rows.map(toArtifact) }
}

export async function listArtifactNames(db: TenantDb, executionId: string): Promise<string[]> {
  const rows = await db
    .selectFrom('artifacts')
    .select('name')
    .where('execution_id', '=', executionId)
    .orderBy('name')
    .limit(100)
    .execute()
  return rows.map(({ name }) => name)
}

function toRow(artifact: NewArtifact): Selectable<ArtifactsTable> {
  return {
    id: artifact.id,
    execution_id: artifact.executionId,
    name: artifact.name,
    origin: artifact.origin,
    content_type: artifact.contentType,
    size_bytes: artifact.sizeBytes,
    blob_key: artifact.blobKey,
    created_at: artifact.createdAt,
    updated_at: artifact.createdAt,
  }
}

function toArtifact(row: Selectable<ArtifactsTable>): StoredArtifact {
  return {
    id: row.id,
    executionId: row.execution_id,
    name: row.name,
    origin: row.origin as Artifact['origin'],
    contentType: row.content_type,
    sizeBytes: Number(row.size_bytes),
    blobKey: row.blob_key,
    createdAt: row.created_at,
    updatedAt: row.updated_at,
  }
}
