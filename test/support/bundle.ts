import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { ROOT } from './source-files.ts'

export interface Bundle {
  /** What went into it: our files, and those of packages below node_modules/. */
  files: string[]
  /** What it still asks its home for. */
  asksFor: string[]
  gzippedBytes: number
}

/** Bundles as wrangler does for a Worker, without writing anything. */
export async function bundleForWorkers(...entryPoints: string[]): Promise<Bundle> {
  const { metafile, outputFiles } = await build({
    absWorkingDir: ROOT,
    entryPoints,
    outdir: 'dist', // named only; nothing is written
    write: false,
    bundle: true,
    minify: true,
    metafile: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['node:*', 'cloudflare:*'],
    logLevel: 'silent',
  })
  const inputs = Object.values(metafile.inputs)
  const external = inputs.flatMap(({ imports }) => imports.filter((i) => i.external).map((i) => i.path))
  return {
    files: Object.keys(metafile.inputs),
    asksFor: [...new Set(external)],
    gzippedBytes: outputFiles.reduce((sum, file) => sum + gzipSync(file.contents).byteLength, 0),
  }
}
