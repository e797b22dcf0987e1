import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseEnv } from 'node:util'
import { describe, expect, test } from 'vitest'
import { printEnvExample, readConfig } from '#src/config.ts'
import { VERSION } from '#src/kit/version.ts'
import { bundleForWorkers } from '#test/support/bundle.ts'
import { type Import, importCycles, importsOf, ROOT, readSourceFiles } from '#test/support/source-files.ts'
import { savedEnvExample } from '../openapi/print.ts'

const files = readSourceFiles('src', 'migrations')
const imports = files.flatMap((file) => file.imports)

/** What starts the product in one of its homes: the only files that see a runtime and the application. */
const STARTS = ['src/node.ts', 'src/node/', 'src/worker.ts', 'src/cli.ts', 'src/cli/']
const NODE_HOMES = ['src/platform/node/', 'src/node.ts', 'src/node/', 'src/cli.ts', 'src/cli/']
const NODE_PACKAGES = [
  'better-sqlite3',
  'pino',
  'undici',
  '@hono/node-server',
  'prom-client',
  'nodemailer',
  'pg',
  'bullmq',
]

/** Which feature may call which. Not listed: none. */
const CALLS: Record<string, string[]> = {
  billing: ['identity'],
  llm: ['identity', 'billing'],
  workflows: ['identity', 'billing', 'llm'],
  assistant: ['identity', 'billing', 'llm', 'workflows'],
  storage: ['identity', 'billing'],
  marketplace: ['identity', 'billing', 'storage'],
  webhooks: ['identity', 'billing', 'llm', 'workflows', 'assistant', 'storage', 'marketplace'],
}

/** Read, not followed: may be as long as they need to be. */
const DATA_TABLES: string[] = []
const MOST_LINES = 400

describe('who may import whom', () => {
  test('ports import nothing at all', () => {
    expect(told(within('src/ports/').filter(({ to }) => !isIn(to, 'src/ports/')))).toEqual([])
  })

  test('kit imports ports and itself', () => {
    expect(beyond('src/kit/', ['src/kit/', 'src/ports/'])).toEqual([])
  })

  test('desiagent imports kit, ports and itself', () => {
    expect(beyond('src/desiagent/', ['src/desiagent/', 'src/kit/', 'src/ports/'])).toEqual([])
  })

  test('desiagent knows no HTTP', () => {
    const http = within('src/desiagent/').filter(({ to }) => isIn(to, 'src/kit/http/') || isPackage(to, 'hono'))
    expect(told(http)).toEqual([])
  })

  test('features import kit, ports, desiagent and features', () => {
    const ours = ['src/features/', 'src/kit/', 'src/ports/', 'src/desiagent/']
    expect(beyond('src/features/', ours)).toEqual([])
  })

  test('a feature calls features to its left only; operations calls none and is called by none', () => {
    const wrong = betweenFeatures().filter(({ from, to }) => !CALLS[featureOf(from)!]?.includes(featureOf(to)!))
    expect(told(wrong)).toEqual([])
  })

  test('another feature is used through its service, and its errors are spoken of', () => {
    expect(told(betweenFeatures().filter(({ to }) => !/\/(service|errors)(\.ts|\/)/.test(to)))).toEqual([])
  })

  test('a contract is pure data: it imports no service, repository or handler', () => {
    const contracts = imports.filter(({ from }) => from.endsWith('/contract.ts') || from === 'src/contracts.ts')
    expect(contracts.length).toBeGreaterThan(0)
    expect(told(contracts.filter(({ to }) => /\/(service|repository|handlers)\.ts$|^kysely/.test(to)))).toEqual([])
  })

  test('a platform imports kit, ports, migrations and itself', () => {
    const shared = ['src/kit/', 'src/ports/', 'migrations/', 'src/platform/fetch/']
    expect(beyond('src/platform/node/', [...shared, 'src/platform/node/'])).toEqual([])
    expect(beyond('src/platform/cloudflare/', [...shared, 'src/platform/cloudflare/'])).toEqual([])
    expect(beyond('src/platform/fetch/', shared)).toEqual([])
  })

  test('migrations import nothing of ours', () => {
    expect(beyond('migrations/', ['migrations/'])).toEqual([])
  })

  test('only what starts the product imports a platform', () => {
    const wrong = imports.filter(({ to, from }) => isIn(to, 'src/platform/') && !isIn(from, 'src/platform/', ...STARTS))
    expect(told(wrong)).toEqual([])
  })

  test('what starts the product is imported by the commands only', () => {
    const wrong = imports.filter(
      ({ to, from }) => isIn(to, ...STARTS) && !isIn(from, 'src/node.ts', 'src/node/', 'src/cli.ts', 'src/cli/'),
    )
    expect(told(wrong)).toEqual([])
  })

  test('only Node’s own files import what only Node has', () => {
    const nodeOnly = imports.filter(({ to }) => to.startsWith('node:') || NODE_PACKAGES.some((p) => isPackage(to, p)))
    expect(nodeOnly.length).toBeGreaterThan(0)
    expect(told(nodeOnly.filter(({ from }) => !isIn(from, ...NODE_HOMES)))).toEqual([])
  })

  test('only the Worker’s own files import what only Workers have', () => {
    const workersOnly = imports.filter(({ to }) => to.startsWith('cloudflare:'))
    expect(told(workersOnly.filter(({ from }) => !isIn(from, 'src/platform/cloudflare/', 'src/worker.ts')))).toEqual([])
  })

  test('no file loads itself through others', () => {
    expect(importCycles(files)).toEqual([])
  })
})

describe('how files are named and cut', () => {
  test('no folder is called utils or helpers', () => {
    const folders = new Set(files.flatMap(({ path }) => dirname(path).split('/')))
    expect([...folders].filter((name) => /^(utils?|helpers?|misc|common)$/.test(name))).toEqual([])
  })

  test('no file and no class is a manager, helper, util or impl', () => {
    const named = files.flatMap(({ path, text }) => [
      ...(/(^|-)(manager|helpers?|utils?|impl)\.ts$/.test(basename(path)) ? [path] : []),
      ...[...text.matchAll(/\bclass (\w+(?:Manager|Helper|Util|Utils|Impl))\b/g)].map(
        (found) => `${path}: ${found[1]}`,
      ),
    ])
    expect(named).toEqual([])
  })

  test('files are kebab-case', () => {
    expect(
      files.map(({ path }) => path).filter((path) => !/^[a-z0-9_]+(-[a-z0-9]+)*\.ts$/.test(basename(path))),
    ).toEqual([])
  })

  test(`no file has over ${MOST_LINES} lines, except data tables`, () => {
    const long = files
      .filter(({ path }) => !DATA_TABLES.includes(path))
      .map(({ path, text }) => ({ path, lines: text.split('\n').length - 1 }))
      .filter(({ lines }) => lines > MOST_LINES)
    expect(long).toEqual([])
  })
})

const worker = await bundleForWorkers('src/worker.ts')

describe('nothing that only Node has gets into shared code', () => {
  test(`the Worker’s bundle (${Math.ceil(worker.gzippedBytes / 1000)} kB gzipped) runs where there is no Node`, () => {
    expect(worker.files).toContain('src/worker.ts')
    expect(worker.files.filter(hasNodeInIt)).toEqual([])
    expect(worker.asksFor).toEqual([])
    expect(worker.gzippedBytes).toBeLessThan(3_000_000) // what a Worker on the free plan may weigh
  })

  test('the whole application, its jobs and desiAgent would run in a Worker too', async () => {
    const shared = await bundleForWorkers('src/app.ts', 'src/jobs.ts', 'src/desiagent/index.ts')

    expect(shared.files.filter(hasNodeInIt)).toEqual([])
    expect(shared.asksFor).toEqual([])
  })

  test('the shared type view knows none of Node’s types', () => {
    const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.json', '--listFiles'], {
      cwd: ROOT,
      encoding: 'utf8',
    })
    const seen = stdout.split('\n')

    expect(seen).toContain(join(ROOT, 'src/app.ts'))
    expect(seen.filter((path) => path.includes('/@types/node/') || path.includes('/src/platform/node/'))).toEqual([])
  })
})

describe('what is written twice says the same', () => {
  test('the version is the one in package.json', () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    expect(VERSION).toBe(version)
  })

  test('.env.example is what the configuration prints', () => {
    expect(savedEnvExample(), 'run `npm run openapi`, which writes .env.example too').toBe(printEnvExample())
  })

  test('.env.example can be used as it is, and changes nothing', () => {
    expect(readConfig(parseEnv(printEnvExample()))).toEqual(readConfig({}))
  })
})

test('the scanner of this file sees every form of import', () => {
  const text = [
    "import { one } from './one.ts'",
    "import {\n  two,\n} from '../two.ts'",
    "import type { Three } from '#kit/three.ts'",
    "import { type Four } from '#migrations/four.ts'",
    "import 'node:five'",
    "export * from './six.ts'",
    "const seven = await import('#platform/node/seven.ts')",
    "const text = 'nothing is imported from here'",
  ].join('\n')

  expect(importsOf('src/a/b.ts', text).map(({ to, isTypeOnly }) => (isTypeOnly ? `type ${to}` : to))).toEqual([
    'src/a/one.ts',
    'src/two.ts',
    'type src/kit/three.ts',
    'migrations/four.ts',
    'node:five',
    'src/a/six.ts',
    'src/platform/node/seven.ts',
  ])
})

function isIn(path: string, ...places: string[]): boolean {
  return places.some((place) => (place.endsWith('/') ? path.startsWith(place) : path === place))
}

function isPackage(specifier: string, name: string): boolean {
  return specifier === name || specifier.startsWith(`${name}/`)
}

function within(folder: string): Import[] {
  return imports.filter(({ from }) => isIn(from, folder))
}

/** Imports of our own files from this folder into any but the allowed ones. */
function beyond(folder: string, allowed: string[]): string[] {
  return told(within(folder).filter(({ to, isOurs }) => isOurs && !isIn(to, ...allowed)))
}

function betweenFeatures(): Import[] {
  return within('src/features/').filter(({ from, to }) => featureOf(to) && featureOf(to) !== featureOf(from))
}

function featureOf(path: string): string | undefined {
  return /^src\/features\/([^/]+)\//.exec(path)?.[1]
}

function told(wrong: readonly Import[]): string[] {
  return wrong.map(({ from, to }) => `${from} imports ${to}`)
}

function hasNodeInIt(path: string): boolean {
  return (
    isIn(path, ...NODE_HOMES) ||
    path.endsWith('.node') ||
    NODE_PACKAGES.some((name) => path.startsWith(`node_modules/${name}/`))
  )
}
