// Prints the published spec from the contracts: `npm run openapi`.
import { readFileSync, writeFileSync } from 'node:fs'
import { describeApi } from '#src/openapi.ts'

const file = new URL('./openapi.json', import.meta.url)

export function printedSpec(): string {
  return `${JSON.stringify(describeApi(), null, 2)}\n`
}

export function savedSpec(): string {
  return readFileSync(file, 'utf8')
}

if (import.meta.main) {
  writeFileSync(file, printedSpec())
  console.log('openapi/openapi.json is up to date')
}
