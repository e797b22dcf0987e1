import type { Kysely } from 'kysely'
import { type Migration, Migrator } from 'kysely/migration'

/** Migrations by name, in the order of their names: an imported list, because a Worker has no folder to scan. */
export type Migrations = Record<string, Migration>

/** Brings the database to the newest migration; does nothing when it is there. Throws what the failing one threw. */
export async function migrate(db: Kysely<unknown>, migrations: Migrations): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const { error } = await migrator.migrateToLatest()
  if (error) throw error
}
