// Prints what is published from the code, the spec and .env.example: `npm run openapi`.
import { readFileSync, writeFileSync } from 'node:fs'
import { printEnvExample } from '#src/config.ts'
import { describeApi } from '#src/openapi.ts'

const file = new URL('./openapi.json', import.meta.url)
const envFile = new URL('../.env.example', import.meta.url)

export function printedSpec(): string {
  return `${JSON.stringify(describeApi(), null, 2)}\n`
}

export function savedSpec(): string {
  return readFileSync(file, 'utf8')
}

export function savedEnvExample(): string {
  return readFileSync(envFile, 'utf8')
}

if (import.meta.main) {
  writeFileSync(file, printedSpec())
  writeFileSync(envFile, printEnvExample())
  console.log('openapi/openapi.json and .env.example are up to date')
}
