import { type ChildProcess, type StdioOptions, spawn, spawnSync } from 'node:child_process'

const ROOT = new URL('../..', import.meta.url).pathname

export interface BootstrapKeys {
  apiKey: string
  superAdminKey: string
}

/** Makes a data folder's control database and its first tenant, `acme`, as a person would. */
export function bootstrapIn(dataDir: string): BootstrapKeys {
  const args = ['src/cli.ts', 'bootstrap', '--tenant', 'acme', '--admin-email', 'admin@acme.test', '--json']
  const { stdout } = spawnSync(process.execPath, args, { cwd: ROOT, env: environment(dataDir, {}), encoding: 'utf8' })
  const { apiKey, superAdminKey } = JSON.parse(stdout)
  return { apiKey, superAdminKey }
}

/** A real server over a data folder, on a free port. Who spawns it ends it. */
export function spawnServer(dataDir: string, env: Record<string, string>, stdio: StdioOptions): ChildProcess {
  return spawn(process.execPath, ['src/node.ts'], { cwd: ROOT, env: environment(dataDir, env), stdio })
}

function environment(dataDir: string, env: Record<string, string>): NodeJS.ProcessEnv {
  return {
    PATH: process.env.PATH,
    HOME: dataDir,
    DESI_DATA_DIR: dataDir,
    PORT: '0',
    NODE_ENV: 'test',
    API_KEY_BCRYPT_COST: '4',
    ...env,
  }
}
