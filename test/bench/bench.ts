/**
 * `npm run bench`: what a request and a sub-step cost, measured over HTTP against a server of its own.
 * `BENCH_NODE_OPTIONS='--cpu-prof --cpu-prof-dir=/tmp/profile'` profiles that server.
 */
import { randomUUID } from 'node:crypto'
import { cpus } from 'node:os'
import { type BenchServer, startBenchServer } from './children.ts'
import { Executions, STEPS } from './executions.ts'
import { load, medianOf, type Round, type Target } from './load.ts'

const ROUNDS = 5
const ROUND_MS = 1_000

const server = await startBenchServer()
try {
  const targets = await targetsOf(server)
  printMachine()
  printRequests(targets, await measureRequests(targets))
  await printExecutions(new Executions(server))
} finally {
  await server.stop()
}

async function targetsOf({ url, bareUrl, apiKey }: BenchServer): Promise<Target[]> {
  const api = `${url}/api/v2`
  const headers = { authorization: `Bearer ${apiKey}` }
  const jsonHeaders = { ...headers, 'content-type': 'application/json' }
  let version = 0
  const newAgent = () => {
    version += 1
    return JSON.stringify({ name: 'bench', version: `0.0.${version}`, systemPrompt: 'You are measured.' })
  }
  const created = await fetch(`${api}/agents`, { method: 'POST', headers: jsonHeaders, body: newAgent() })
  const agent = (await created.json()) as { id: string }
  return [
    { name: 'bare route', url: `${bareUrl}/bare/${randomUUID()}`, status: 200 },
    { name: 'GET /health', url: `${api}/health`, status: 200 },
    { name: 'GET /auth/me', url: `${api}/auth/me`, headers, status: 200 },
    { name: 'GET /agents/{id}', url: `${api}/agents/${agent.id}`, headers, status: 200 },
    { name: 'POST /agents', url: `${api}/agents`, method: 'POST', headers: jsonHeaders, body: newAgent, status: 201 },
  ]
}

/** Round after round through all targets, so that a slow moment of the machine falls on each alike. */
async function measureRequests(targets: readonly Target[]): Promise<Map<Target, Round[]>> {
  const rounds = new Map(targets.map((target) => [target, [] as Round[]]))
  for (const target of targets) await load(target, ROUND_MS) // warms up
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const target of targets) rounds.get(target)?.push(await load(target, ROUND_MS))
  }
  return rounds
}

function printMachine(): void {
  const [cpu] = cpus()
  console.log(`${cpus().length} cores (${cpu?.model.trim()}), node ${process.version}, ${process.platform}`)
  console.log('Client and server share the machine: only the ratios of one run can be compared, not its numbers.\n')
}

function printRequests(targets: readonly Target[], measured: Map<Target, Round[]>): void {
  const medians = targets.map((target) => ({ name: target.name, ...medianOf(measured.get(target) ?? []) }))
  const bare = medians[0]?.requestsPerSecond ?? Number.NaN
  printRow('', 'requests/s', 'p50 ms', 'p99 ms', 'to bare')
  for (const { name, requestsPerSecond, p50Ms, p99Ms } of medians) {
    const ratio = `${Math.round((requestsPerSecond / bare) * 100)} %`
    printRow(name, requestsPerSecond.toFixed(0), p50Ms.toFixed(2), p99Ms.toFixed(2), ratio)
  }
}

async function printExecutions(executions: Executions): Promise<void> {
  await executions.measure(60, 20) // warms up
  const sequential = await executions.measure(60, 1)
  const concurrent = await executions.measure(200, 20)
  console.log(`\nExecutions of ${STEPS} steps in a chain and a synthesis, on the offline model, which answers at once`)
  printRow('', 'per second', 'ms a step')
  printRow('one after the other', sequential.toFixed(1), (1000 / sequential / STEPS).toFixed(2))
  printRow('20 at once', concurrent.toFixed(1), (1000 / concurrent / STEPS).toFixed(2))
}

function printRow(name: string, ...cells: string[]): void {
  console.log(name.padEnd(20) + cells.map((cell) => cell.padStart(12)).join(''))
}
