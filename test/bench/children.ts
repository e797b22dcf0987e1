import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Listening } from './server.ts'

const ROOT = new URL('../..', import.meta.url).pathname

export interface BenchServer extends Listening {
  stop(): Promise<void>
}

/** Starts the server in a process and a data folder of its own, with limits out of the way and its log going nowhere. */
export async function startBenchServer(): Promise<BenchServer> {
  const dataDir = mkdtempSync(join(tmpdir(), 'desi-bench-'))
  const env = {
    PATH: process.env.PATH,
    HOST: '127.0.0.1',
    PORT: '0',
    LOG_LEVEL: 'info',
    DESI_DATA_DIR: dataDir,
    RATE_LIMIT_ADDRESS_PER_MINUTE: '1000000',
    RATE_LIMIT_API_PER_MINUTE: '1000000',
    RATE_LIMIT_EXECUTE_PER_MINUTE: '1000000',
  }
  // Lines are formatted and written as in production; only nobody reads them.
  const child = fork(join(ROOT, 'test/bench/server.ts'), {
    cwd: ROOT,
    env,
    execArgv: process.env.BENCH_NODE_OPTIONS?.split(' ') ?? [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const stop = async () => {
    await ended(child)
    rmSync(dataDir, { recursive: true, force: true })
  }
  try {
    return { ...(await listening(child)), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

function listening(child: ChildProcess): Promise<Listening> {
  return new Promise((resolve, reject) => {
    child.once('message', (message) => resolve(message as Listening))
    child.once('exit', (code) => reject(new Error(`the server ended with ${code} before it listened`)))
  })
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const late = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await exit
  clearTimeout(late)
}
