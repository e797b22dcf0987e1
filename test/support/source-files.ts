import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Import {
  /** The importing file, from the top of the repository. */
  from: string
  /** The imported file from the top of the repository, or the package with what follows its name. */
  to: string
  isOurs: boolean
  /** Gone when the types are stripped. `import { type X }` is not: the module is still loaded. */
  isTypeOnly: boolean
}

export interface SourceFile {
  path: string
  text: string
  imports: Import[]
}

const ALIASES = Object.entries(
  (JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { imports: Record<string, string> }).imports,
).map(([alias, target]) => [alias.replace('*', ''), join(target).replace('*', '')] as const)

/** The TypeScript files in these folders, with what they import. */
export function readSourceFiles(...folders: string[]): SourceFile[] {
  return folders
    .flatMap((folder) => globSync(`${folder}/**/*.ts`, { cwd: ROOT }))
    .toSorted()
    .map((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8')
      return { path, text, imports: importsOf(path, text) }
    })
}

const STATEMENT = /^(?:import|export)\s+(type\s)?(?:[^;'"]*?\sfrom\s+)?'([^']+)'/gm
const DYNAMIC = /\bimport\('([^']+)'\)/g

/** Reads import statements in the one form that our formatter leaves. */
export function importsOf(from: string, text: string): Import[] {
  const statements = [...text.matchAll(STATEMENT)].map((found) => imported(from, found[2]!, found[1] !== undefined))
  const calls = [...text.matchAll(DYNAMIC)].map((found) => imported(from, found[1]!, false))
  return [...statements, ...calls]
}

function imported(from: string, specifier: string, isTypeOnly: boolean): Import {
  if (specifier.startsWith('.')) return { from, to: join(dirname(from), specifier), isOurs: true, isTypeOnly }
  const alias = ALIASES.find(([prefix]) => specifier.startsWith(prefix))
  if (alias) return { from, to: alias[1] + specifier.slice(alias[0].length), isOurs: true, isTypeOnly }
  return { from, to: specifier, isOurs: false, isTypeOnly }
}

/** Chains of files that load each other, each told once: `a.ts → b.ts → a.ts`. */
export function importCycles(files: readonly SourceFile[]): string[] {
  const edges = new Map(
    files.map(({ path, imports }) => [path, imports.filter((i) => i.isOurs && !i.isTypeOnly).map((i) => i.to)]),
  )
  const done = new Set<string>()
  const cycles: string[] = []
  const visit = (file: string, trail: readonly string[]): void => {
    if (trail.includes(file)) cycles.push([...trail.slice(trail.indexOf(file)), file].join(' → '))
    if (done.has(file)) return
    done.add(file)
    for (const next of edges.get(file) ?? []) visit(next, [...trail, file])
  }
  for (const file of edges.keys()) visit(file, [])
  return cycles
}
