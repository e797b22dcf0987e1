// Keeps package-lock.json installable everywhere. npm leaves `gypfile: false` out of the lockfile entry of
// better-sqlite3, and `npm ci` then compiles a package that ships its binaries (and fails without a compiler).
// Runs after every change of dependencies; with --check it only tells whether the file is as it should be.
import { readFileSync, writeFileSync } from 'node:fs'

const path = new URL('../package-lock.json', import.meta.url)
const lock = JSON.parse(readFileSync(path, 'utf8'))
const problems = []

const sqlite = lock.packages['node_modules/better-sqlite3']
if (sqlite && sqlite.gypfile !== false) {
  problems.push('better-sqlite3 would be compiled by `npm ci`: its entry lacks "gypfile": false')
  sqlite.gypfile = false
}
for (const [name, entry] of Object.entries(lock.packages)) {
  if (!entry.resolved || entry.link) continue
  problems.push(`${name} names a download address`)
  delete entry.resolved
}

if (process.argv.includes('--check')) {
  for (const problem of problems) console.error(`package-lock.json: ${problem}`)
  process.exitCode = problems.length > 0 ? 1 : 0
} else if (problems.length > 0) {
  writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)
}
