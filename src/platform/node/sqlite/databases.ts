import { existsSync } from 'node:fs'
import { mkdir, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kysely } from 'kysely'
import type { ControlTables } from '#kit/db/control-tables.ts'
import type { Databases } from '#kit/db/databases.ts'
import { type Migrations, migrate } from '#kit/db/migrate.ts'
import { openSqlite } from '#kit/db/sqlite/dialect.ts'
import type { TenantTables } from '#kit/db/tenant-tables.ts'
import { controlMigrations } from '#migrations/control/index.ts'
import { tenantMigrations } from '#migrations/tenant/index.ts'
import { writeDurably } from '../write-durably.ts'
import { betterSqliteBackend, type Synchronous } from './backend.ts'

/** `admin.db` and `tenants/{tenant_id}/agent.db` below the data folder. */
export function sqliteDatabases(dataDir: string, synchronous: Synchronous): Databases {
  let template: Promise<Buffer> | undefined
  const folderOf = (tenantId: string) => join(dataDir, 'tenants', tenantId)
  const fileOf = (tenantId: string) => join(folderOf(tenantId), 'agent.db')

  return {
    async openControl() {
      await mkdir(dataDir, { recursive: true, mode: 0o700 })
      return openMigrated<ControlTables>(join(dataDir, 'admin.db'), synchronous, controlMigrations)
    },

    async openTenant(tenantId) {
      if (!existsSync(fileOf(tenantId))) return null
      return openMigrated<TenantTables>(fileOf(tenantId), synchronous, tenantMigrations)
    },

    async createTenant(tenantId) {
      template ??= migratedTemplate()
      await rm(folderOf(tenantId), { recursive: true, force: true })
      await mkdir(folderOf(tenantId), { recursive: true, mode: 0o700 })
      await writeDurably(fileOf(tenantId), await template)
    },

    async deleteTenant(tenantId) {
      await rm(folderOf(tenantId), { recursive: true, force: true })
    },

    // With what waits in the write-ahead log.
    async sizeOfTenant(tenantId) {
      const files = await readdir(folderOf(tenantId)).catch(() => [])
      const sizes = await Promise.all(files.map((file) => stat(join(folderOf(tenantId), file)).catch(() => null)))
      return sizes.reduce((total, file) => total + (file?.size ?? 0), 0)
    },
  }
}

async function openMigrated<Tables>(
  file: string,
  synchronous: Synchronous,
  migrations: Migrations,
): Promise<Kysely<Tables>> {
  const db = openSqlite<Tables>(betterSqliteBackend(file, synchronous))
  try {
    await migrate(db as Kysely<unknown>, migrations)
    return db
  } catch (error) {
    await db.destroy()
    throw error
  }
}

/** An empty, migrated tenant database as bytes: copying it takes a tenth of migrating a new one. */
async function migratedTemplate(): Promise<Buffer> {
  const backend = betterSqliteBackend(':memory:', 'OFF')
  const db = openSqlite<unknown>(backend)
  await migrate(db, tenantMigrations)
  const bytes = backend.raw.serialize()
  await db.destroy()
  return bytes
}
