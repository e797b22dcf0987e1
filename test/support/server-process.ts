import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type BootstrapKeys, bootstrapIn, spawnServer } from './server-child.ts'

interface Written {
  text: string
}

/** A real server process over a data folder, so that it can really be killed. */
export class ServerProcess {
  readonly url: string
  readonly #child: ChildProcess
  readonly #written: Written
  readonly #closed: Promise<unknown>

  constructor(url: string, child: ChildProcess, written: Written) {
    this.url = url
    this.#child = child
    this.#written = written
    this.#closed = once(child, 'close')
  }

  /** All it has said on stdout and stderr. */
  get output(): string {
    return this.#written.text
  }

  /** Sends a signal and waits for nothing. */
  signal(name: NodeJS.Signals): void {
    this.#child.kill(name)
  }

  /** Resolves when it has ended and its last word is read: its exit code, or the signal that ended it. */
  async ended(): Promise<number | NodeJS.Signals | null> {
    await this.#closed
    return this.#child.exitCode ?? this.#child.signalCode
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
export function bootstrapDataDir(): BootstrapKeys & { dataDir: string } {
  const dataDir = mkdtempSync(join(tmpdir(), 'desi-process-'))
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }))
  return { dataDir, ...bootstrapIn(dataDir) }
}

/** Starts the server and waits until it listens; it is killed when the test ends. */
export async function startServerProcess(dataDir: string, env: Record<string, string> = {}): Promise<ServerProcess> {
  const child = spawnServer(dataDir, env, ['ignore', 'pipe', 'pipe'])
  const written = { text: '' }
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (chunk) => {
      written.text += chunk
    })
  }
  const url = await listeningUrl(child, written)
  const server = new ServerProcess(url, child, written)
  onTestFinished(() => server.kill())
  return server
}

function listeningUrl(child: ChildProcess, written: Written): Promise<string> {
  return new Promise((resolve, reject) => {
    child.once('close', (code) => reject(new Error(`the server ended with ${code}: ${written.text}`)))
    child.stdout?.on('data', () => {
      const line = written.text.split('\n').find((text) => text.includes('"listening"') && text.endsWith('}'))
      if (line) resolve(JSON.parse(line).url)
    })
  })
}
