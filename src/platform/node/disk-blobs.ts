import { lstat, mkdir, readFile, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Blobs } from '#ports/blobs.ts'
import { writeDurably } from './write-durably.ts'

const KEY = /^[\w-]+(\/[\w-]+)*$/

/** Blobs as files below a folder. A blob is written aside and renamed, so a reader never sees half of one. */
export function diskBlobs(folder: string): Blobs {
  return {
    async put(key, bytes) {
      const file = await safePath(folder, key)
      await mkdir(dirname(file), { recursive: true, mode: 0o700 })
      await writeDurably(file, bytes)
    },

    async get(key) {
      return readFile(await safePath(folder, key)).catch(nullIfAbsent)
    },

    async deleteAll(prefix) {
      await rm(await safePath(folder, prefix), { recursive: true, force: true })
    },

    async delete(key) {
      await rm(await safePath(folder, key), { force: true })
    },
  }
}

/** Keys are ids of ours; anything else (`..`, an absolute path, a dot) and any symbolic link on the way is refused. */
async function safePath(folder: string, key: string): Promise<string> {
  if (!KEY.test(key)) throw new Error('not a blob key')
  let path = folder
  for (const part of key.split('/')) {
    path = join(path, part)
    const found = await lstat(path).catch(nullIfAbsent)
    if (found?.isSymbolicLink()) throw new Error('a blob path must not contain symbolic links')
  }
  return path
}

function nullIfAbsent(error: unknown): null {
  if ((error as { code?: string }).code === 'ENOENT') return null
  throw error
}
