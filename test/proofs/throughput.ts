import { eachAtOnce } from './at-once.ts'
import type { Caller } from './caller.ts'
import { meanOf } from './figures.ts'
import { Follower } from './follower.ts'
import { pause } from './pause.ts'
import { cpuMsOf, peakMegabytesOf } from './process-figures.ts'
import type { Proof, ProofOptions } from './proof.ts'
import { ProofServer } from './proof-server.ts'
import { scriptedModel } from './scripted-model.ts'
import { chainOfSteps, planOfSteps } from './step-sketches.ts'

const STEPS = 10
const AT_ONCE = 50
const RUNS = 5
const LOOK_EVERY_MS = 20

/** Each step needs the one before: nothing hides behind a neighbour. */
const DEFINITION = planOfSteps('work', chainOfSteps(STEPS, 0))

/** Measures; what it can violate is only that everything completes. */
export const proveThroughput: Proof = async (options) => {
  const { durable, say } = options
  const model = await scriptedModel()
  const env = { ...model.env, SQLITE_SYNCHRONOUS: durable, MAX_CONCURRENT_EXECUTIONS: String(AT_ONCE) }
  const server = await ProofServer.open(env)
  try {
    say(`${AT_ONCE} executions at once, each a chain of ${STEPS} steps and a synthesis; the model answers at once`)
    say(`SQLITE_SYNCHRONOUS ${durable}; model and clients share the machine with the server`)
    await measure(server, AT_ONCE * 2, runCounted) // warms up
    const violations = [
      ...(await measureRuns(server, options, 'counted at the end', runCounted)),
      ...(await measureRuns(server, options, 'each followed by its event stream', runFollowed)),
    ]
    say(`peak memory of the server: ${peakMegabytesOf(server.pid)} MB`)
    return violations
  } finally {
    await server.close()
    model.close()
  }
}

interface Run {
  perSecond: number
  wallMsPerStep: number
  cpuMsPerStep: number
  completed: number
}

/** Has executions done, with so many at once at any moment. */
type Way = (caller: Caller, total: number) => Promise<void>

async function measureRuns(server: ProofServer, { n, say }: ProofOptions, name: string, way: Way): Promise<string[]> {
  const runs: Run[] = []
  say(`${name}:`)
  for (let run = 1; run <= RUNS; run += 1) {
    const measured = await measure(server, n, way)
    runs.push(measured)
    say(`  run ${run}: ${inWords(measured)}`)
  }
  const mean = (of: (run: Run) => number) => meanOf(runs.map(of))
  say(
    `  mean:  ${inWords({
      perSecond: mean(({ perSecond }) => perSecond),
      wallMsPerStep: mean(({ wallMsPerStep }) => wallMsPerStep),
      cpuMsPerStep: mean(({ cpuMsPerStep }) => cpuMsPerStep),
      completed: 0,
    })}`,
  )
  return runs
    .filter(({ completed }) => completed !== n)
    .map(({ completed }) => `${name}: ${completed} of ${n} completed`)
}

function inWords({ perSecond, wallMsPerStep, cpuMsPerStep }: Run): string {
  const [wall, cpu] = [wallMsPerStep.toFixed(2), cpuMsPerStep.toFixed(2)]
  return `${perSecond.toFixed(1)} executions a second, ${wall} ms a step, ${cpu} ms of processor a step`
}

async function measure(server: ProofServer, total: number, way: Way): Promise<Run> {
  const caller = server.acme()
  const completedBefore = await countCompleted(caller)
  const cpuBefore = cpuMsOf(server.pid)
  const startedAt = performance.now()
  await way(caller, total)
  const wallMs = performance.now() - startedAt
  return {
    perSecond: total / (wallMs / 1000),
    wallMsPerStep: wallMs / (total * STEPS),
    cpuMsPerStep: (cpuMsOf(server.pid) - cpuBefore) / (total * STEPS),
    completed: (await countCompleted(caller)) - completedBefore,
  }
}

/** Submits them all; the server keeps so many going as it may. */
async function runCounted(caller: Caller, total: number): Promise<void> {
  const before = await countCompleted(caller)
  await eachAtOnce(Array.from({ length: total }), AT_ONCE, async () => {
    await begin(caller)
  })
  while ((await countCompleted(caller)) < before + total) await pause(LOOK_EVERY_MS)
}

async function runFollowed(caller: Caller, total: number): Promise<void> {
  await eachAtOnce(Array.from({ length: total }), AT_ONCE, async () => {
    await new Follower({ caller, executionId: await begin(caller) }).follow()
  })
}

async function begin(caller: Caller): Promise<string> {
  return (await caller.begun('/dags/execute-definition', { definition: DEFINITION, title: 'work' })).id
}

async function countCompleted(caller: Caller): Promise<number> {
  const { pagination } = await caller.got('/executions?status=completed&limit=1&includeTotal=true')
  return pagination.total
}
