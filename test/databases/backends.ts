import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import { onTestFinished } from 'vitest'
import type { SqliteBackend } from '#kit/db/sqlite/backend.ts'
import { openSqlite } from '#kit/db/sqlite/dialect.ts'
import { betterSqliteBackend } from '#platform/node/sqlite/backend.ts'

/** A home of SQLite the suite runs on. Durable Object storage is the next line here; its tests run inside workerd. */
export interface TestedBackend {
  name: string
  /** An empty database of its own, gone when the test ends. */
  open(): SqliteBackend
}

export const BACKENDS: readonly TestedBackend[] = [
  { name: 'files', open: () => betterSqliteBackend(join(temporaryFolder(), 'test.db'), 'NORMAL') },
]

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'desi-databases-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

/** Through our dialect; waits 50 ms for the connection instead of 5 s. */
export function openDatabase<Tables>(backend: SqliteBackend): Kysely<Tables> {
  const db = openSqlite<Tables>(backend, 50)
  onTestFinished(() => db.destroy())
  return db
}
