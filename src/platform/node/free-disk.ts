import { statfs } from 'node:fs/promises'

/** What an unprivileged process may still write below this folder, in bytes. */
export async function freeDiskBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
