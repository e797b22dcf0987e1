import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Writes a file aside, syncs it, then renames it: a file of this name is always whole, also after a power cut. */
export async function writeDurably(file: string, bytes: Uint8Array): Promise<void> {
  const aside = `${file}.${crypto.randomUUID()}.new`
  const handle = await open(aside, 'wx', 0o600)
  try {
    await handle.writeFile(bytes)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(aside, file)
  const folder = await open(dirname(file), 'r')
  await folder.sync().finally(() => folder.close())
}
