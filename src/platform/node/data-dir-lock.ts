import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'

// A lock nobody refers to would be collected, and with it lifted.
const held = new Set<Database.Database>()

/**
 * Keeps a second server off a data folder: it would take the first one's executions for those of a dead process. The
 * lock is SQLite's own on a file of its own, so the operating system lifts it when the process dies, however it dies.
 *
 * @returns lifts the lock
 * @throws DataDirInUse
 */
export function lockDataDir(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 })
  const lock = new Database(join(dataDir, 'server.lock'), { timeout: 0 })
  try {
    lock.pragma('locking_mode = EXCLUSIVE')
    lock.exec('begin exclusive')
  } catch (error) {
    lock.close()
    if ((error as { code?: string }).code === 'SQLITE_BUSY') throw new DataDirInUse(dataDir)
    throw error
  }
  held.add(lock)
  return () => {
    held.delete(lock)
    lock.close()
  }
}

export class DataDirInUse extends Error {
  constructor(dataDir: string) {
    super(`Another server is using the data folder ${dataDir}. Stop it, or set DESI_DATA_DIR to another folder.`)
    this.name = 'DataDirInUse'
  }
}
