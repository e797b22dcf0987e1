import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

const ROOT = new URL('../..', import.meta.url).pathname

/** A real server process over a data folder, so that it can really be killed. */
export class ServerProcess {
  readonly url: string
  readonly #child: ChildProcess

  constructor(url: string, child: ChildProcess) {
    this.url = url
    this.#child = child
  }

  /** `kill -9`: nothing is flushed, nothing is said goodbye to. */
  kill(): Promise<void> {
    return this.#end('SIGKILL')
  }

  /** What a process manager does first. */
  stop(): Promise<void> {
    return this.#end('SIGTERM')
  }

  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of every shape
  async call(key: string, method: string, path: string, body?: unknown): Promise<{ status: number; body: any }> {
    const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
    const response = await fetch(`${this.url}/api/v2${path}`, {
      method,
      headers,
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    return { status: response.status, body: await response.json() }
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#child.kill(signal)
    await ended
  }
}

/** A data folder with one tenant, removed when the test ends. */
export function bootstrapDataDir(): { dataDir: string; apiKey: string } {
  const dataDir = mkdtempSync(join(tmpdir(), 'desi-process-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  const args = ['src/cli.ts', 'bootstrap', '--tenant', 'acme', '--admin-email', 'admin@acme.test', '--json']
  const { stdout } = spawnSync(process.execPath, args, { cwd: ROOT, env: environment(dataDir, {}), encoding: 'utf8' })
  return { dataDir, apiKey: JSON.parse(stdout).apiKey }
}

/** Starts the server and waits until it listens; it is killed when the test ends. */
export async function startServerProcess(dataDir: string, env: Record<string, string> = {}): Promise<ServerProcess> {
  const child = spawn(process.execPath, ['src/node.ts'], {
    cwd: ROOT,
    env: environment(dataDir, env),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const url = await listeningUrl(child)
  const server = new ServerProcess(url, child)
  onTestFinished(() => server.kill())
  return server
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

function listeningUrl(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let output = ''
    child.once('exit', (code) => reject(new Error(`the server ended with ${code}: ${output}`)))
    child.stdout?.on('data', (chunk) => {
      output += chunk
      const line = output.split('\n').find((text) => text.includes('"listening"'))
      if (line) resolve(JSON.parse(line).url)
    })
  })
}
