import type { ChildProcess } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type BootstrapKeys, bootstrapIn, spawnServer } from '#test/support/server-child.ts'
import { Caller } from './caller.ts'
import { pause } from './pause.ts'

/** Nothing a proof does is to meet a limit of calls a minute. */
const NO_RATE_LIMITS = {
  RATE_LIMIT_ADDRESS_PER_MINUTE: '1000000',
  RATE_LIMIT_API_PER_MINUTE: '1000000',
  RATE_LIMIT_AUTH_PER_MINUTE: '1000000',
  RATE_LIMIT_EXECUTE_PER_MINUTE: '1000000',
}
const LONGEST_START_MS = 60_000
const LOOK_EVERY_MS = 5

/**
 * A real server process over a data folder of its own, again and again. What it says goes into a file: nobody has to
 * read along while something is measured.
 */
export class ProofServer {
  readonly dataDir: string
  readonly #keys: BootstrapKeys
  readonly #env: Record<string, string>
  #child: ChildProcess | null = null
  #logs: string[] = []
  #url: string | null = null

  private constructor(dataDir: string, keys: BootstrapKeys, env: Record<string, string>) {
    this.dataDir = dataDir
    this.#keys = keys
    this.#env = { ...NO_RATE_LIMITS, LOG_LEVEL: 'info', ...env }
  }

  /** Makes the folder and starts the first process. */
  static async open(env: Record<string, string>): Promise<ProofServer> {
    const dataDir = mkdtempSync(join(tmpdir(), 'desi-proof-'))
    const server = new ProofServer(dataDir, bootstrapIn(dataDir), env)
    try {
      await server.start()
      return server
    } catch (error) {
      await server.close()
      throw error
    }
  }

  /** @throws while none listens */
  get url(): string {
    if (this.#url === null) throw new Error('the server is down')
    return this.#url
  }

  get pid(): number {
    const { pid } = this.#child ?? {}
    if (pid === undefined) throw new Error('the server is down')
    return pid
  }

  /** With all scopes in the tenant `acme`. */
  acme(): Caller {
    return this.#caller(this.#keys.apiKey)
  }

  /** Makes another tenant, without quotas. */
  async tenant(slug: string): Promise<Caller> {
    const superAdmin = this.#caller(this.#keys.superAdminKey)
    const admin = { email: `admin@${slug}.test` }
    const { status, body } = await superAdmin.post('/admin/tenants', { slug, plan: 'enterprise', admin })
    if (status !== 201) throw new Error(`tenant ${slug}: ${status} ${JSON.stringify(body)}`)
    return this.#caller(body.apiKey)
  }

  /** Spawns a process and does not wait for it. */
  spawn(): void {
    const log = join(this.dataDir, `server-${this.#logs.length}.log`)
    this.#logs.push(log)
    const output = openSync(log, 'w')
    this.#child = spawnServer(this.dataDir, this.#env, ['ignore', output, output])
    closeSync(output)
  }

  /** Spawns a process and waits until it listens. @returns how long that took */
  async start(): Promise<number> {
    const startedAt = performance.now()
    this.spawn()
    while (performance.now() - startedAt < LONGEST_START_MS) {
      this.#url = listeningUrl(this.#lastLog())
      if (this.#url !== null) return performance.now() - startedAt
      if (!this.#isAlive()) throw new Error(`the server ended at its start: ${this.#lastLog()}`)
      await pause(LOOK_EVERY_MS)
    }
    throw new Error(`the server does not listen: ${this.#lastLog()}`)
  }

  /** `kill -9`. @returns false when there was nobody to kill */
  async kill(): Promise<boolean> {
    this.#url = null
    return (await this.#end('SIGKILL')) === 'SIGKILL'
  }

  /** What a process manager does first. */
  async stop(): Promise<void> {
    await this.#end('SIGTERM')
    this.#url = null
  }

  /** The lines of all processes that say an error. */
  errors(): string[] {
    return this.#lines().filter((line) => line.includes('"level":"error"'))
  }

  /** What was said beside the log: warnings of the runtime. */
  warnings(): string[] {
    return this.#lines().filter((line) => line !== '' && !line.startsWith('{'))
  }

  async close(): Promise<void> {
    await this.kill()
    rmSync(this.dataDir, { recursive: true, force: true })
  }

  #caller(key: string): Caller {
    return new Caller(() => this.url, key)
  }

  #lines(): string[] {
    return this.#logs.flatMap((log) => readFileSync(log, 'utf8').split('\n'))
  }

  #lastLog(): string {
    return readFileSync(this.#logs.at(-1) ?? '', 'utf8')
  }

  #isAlive(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null
  }

  async #end(signal: NodeJS.Signals): Promise<NodeJS.Signals | null> {
    const child = this.#child
    if (!child || !this.#isAlive()) return null
    const exit = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await exit
    return child.signalCode
  }
}

function listeningUrl(log: string): string | null {
  const line = log.split('\n').find((text) => text.includes('"listening"') && text.endsWith('}'))
  return line ? JSON.parse(line).url : null
}
