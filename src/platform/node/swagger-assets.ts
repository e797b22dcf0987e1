import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import type { Assets } from '#ports/assets.ts'

/** Swagger UI's files from its npm package, read once each. The caller names only files it knows. */
export function swaggerAssets(): Assets {
  const folder = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
  const files = new Map<string, Promise<Uint8Array | null>>()
  return {
    get(name) {
      const known = files.get(name) ?? readFile(join(folder, name)).catch(() => null)
      files.set(name, known)
      return known
    },
  }
}
