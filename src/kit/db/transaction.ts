import type { ControlledTransaction, Kysely } from 'kysely'

/**
 * Runs `work` in a transaction, or in a savepoint when `db` already is one: a rollback then undoes `work` alone.
 * Nothing outside the database is called inside it: it would keep everybody else waiting.
 */
export async function transaction<Tables, T>(db: Kysely<Tables>, work: (tx: Kysely<Tables>) => Promise<T>): Promise<T> {
  return db.isTransaction ? inSavepoint(db as ControlledTransaction<Tables>, work) : inTransaction(db, work)
}

async function inTransaction<Tables, T>(db: Kysely<Tables>, work: (tx: Kysely<Tables>) => Promise<T>): Promise<T> {
  const tx = await db.startTransaction().execute()
  try {
    const result = await work(tx)
    await tx.commit().execute()
    return result
  } catch (error) {
    if (!tx.isCommitted) await tx.rollback().execute()
    throw error
  }
}

async function inSavepoint<Tables, T>(
  outer: ControlledTransaction<Tables>,
  work: (tx: Kysely<Tables>) => Promise<T>,
): Promise<T> {
  const name = `nested_${crypto.randomUUID().replaceAll('-', '')}`
  const inner = await outer.savepoint(name).execute()
  try {
    const result = await work(inner)
    await inner.releaseSavepoint(name).execute()
    return result
  } catch (error) {
    await inner.rollbackToSavepoint(name).execute()
    await inner.releaseSavepoint(name).execute()
    throw error
  }
}
