import type { Compilable, Kysely } from 'kysely'

const COMPILED = new WeakMap<object, Map<string, string>>()

/**
 * The SQL of a statement that is run again and again with other values, built the first time. Unlike a prepared read it
 * is also known in transactions, because all of a database's share its adapter.
 *
 * @param name  stands for the text of the statement; of few different ones, since each is kept
 */
export function compiledOnce<Tables>(db: Kysely<Tables>, name: string, build: () => Compilable): string {
  const { adapter } = db.getExecutor()
  const known = COMPILED.get(adapter) ?? new Map<string, string>()
  COMPILED.set(adapter, known)
  const sql = known.get(name) ?? build().compile().sql
  known.set(name, sql)
  return sql
}
