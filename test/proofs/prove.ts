/**
 * `npm run prove -- crash|streams|makespan|throughput|ceilings|fairness [--n …] [--seed …] [--durable FULL]`: shows that
 * the engine keeps a promise, over HTTP against a real server process. Exit code 1: it was broken.
 */
import { cpus, loadavg } from 'node:os'
import { parseArgs } from 'node:util'
import { proveCeilings } from './ceilings.ts'
import { proveCrashes } from './crash.ts'
import { proveFairness } from './fairness.ts'
import { proveMakespan } from './makespan.ts'
import type { Proof } from './proof.ts'
import { proveStreams } from './streams.ts'
import { proveThroughput } from './throughput.ts'

const PROOFS: Record<string, { prove: Proof; n: number; of: string }> = {
  crash: { prove: proveCrashes, n: 120, of: 'kills of the server' },
  streams: { prove: proveStreams, n: 1_000, of: 'readers of event streams' },
  makespan: { prove: proveMakespan, n: 100, of: 'random DAGs of 20 steps' },
  throughput: { prove: proveThroughput, n: 500, of: 'executions of 10 steps in each run' },
  ceilings: { prove: proveCeilings, n: 1_000, of: 'random DAGs with random limits' },
  fairness: { prove: proveFairness, n: 10_000, of: 'executions one tenant has waiting' },
}
const MOST_VIOLATIONS_SHOWN = 40
const LATE_MS = 500

const say = (line: string) => void process.stdout.write(`${line}\n`)

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { n: { type: 'string' }, seed: { type: 'string' }, durable: { type: 'string' } },
  })
  const [name = ''] = positionals
  const proof = PROOFS[name]
  const n = Number(values.n ?? proof?.n)
  const seed = Number(values.seed ?? Date.now() % 1_000_000)
  const { durable = 'NORMAL' } = values
  // A count of nothing would show nothing, and hold.
  const isMeant = n >= 1 && [n, seed].every(Number.isInteger) && (durable === 'NORMAL' || durable === 'FULL')
  if (!proof || !isMeant) {
    say('npm run prove -- <proof> [--n count] [--seed number] [--durable FULL]')
    for (const [name, { n, of }] of Object.entries(PROOFS)) say(`  ${name.padEnd(12)}${n} ${of}`)
    return 2
  }
  say(`${name}: ${n} ${proof.of}, seed ${seed}, node ${process.version}`)
  say(`${cpus().length} cores, load ${loadavg()[0]?.toFixed(1)}: what else runs here makes times longer`)
  const startedAt = performance.now()
  const violations = await proof.prove({ n, seed, durable, lateMs: LATE_MS, say })
  say(`took ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
  if (violations.length === 0) {
    say('ok')
    return 0
  }
  say(`VIOLATED, ${violations.length} times:`)
  for (const violation of violations.slice(0, MOST_VIOLATIONS_SHOWN)) say(`  ${violation}`)
  return 1
}

process.exitCode = await main()
