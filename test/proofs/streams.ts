import type { Caller } from './caller.ts'
import { Chance } from './chance.ts'
import { faultsInLog, faultsInSeen, type LoggedEvent } from './event-log.ts'
import { spreadOf } from './figures.ts'
import { Follower } from './follower.ts'
import { pause, within } from './pause.ts'
import { peakMegabytesOf } from './process-figures.ts'
import type { Proof } from './proof.ts'
import { ProofServer } from './proof-server.ts'
import { scriptedModel } from './scripted-model.ts'
import { planOfSteps, randomSteps } from './step-sketches.ts'

const TENANTS = 4
const EXECUTIONS_OF_EACH = 2
const STEPS = 100
const HANG_UPS = 5
/** Of one execution, so that it goes on for as long as its readers come and go. */
const PARALLEL_STEPS = 1
const LONGEST_MS = 600_000
/** Opening a stream takes the server some milliseconds: for many readers the executions must last, so that all come in. */
const slowestStepMs = (readers: number) => Math.max(200, Math.round(readers * 0.8))

interface Followed {
  caller: Caller
  executionId: string
}

/** Readers hang up and come back while executions run and the server is killed: each is told each event once, in order. */
export const proveStreams: Proof = async ({ n, seed, durable, say }) => {
  const chance = new Chance(seed)
  const model = await scriptedModel()
  const server = await ProofServer.open({
    ...model.env,
    SQLITE_SYNCHRONOUS: durable,
    MAX_PARALLEL_SUB_STEPS: String(PARALLEL_STEPS),
    MAX_STREAMS_PER_TENANT: String(n),
  })
  try {
    const callers = [server.acme()]
    while (callers.length < TENANTS) callers.push(await server.tenant(`tenant-${callers.length}`))
    const executions = await beginAll(callers, chance, slowestStepMs(n))
    const startedAt = performance.now()
    const followers = Array.from({ length: n }, (_, index) =>
      followerOf(executions[index % executions.length]!, chance),
    )
    const followed = within(LONGEST_MS, 'all streams', Promise.all(followers.map((follower) => follower.follow())))
    const peaks = [await killInTheMiddle(server, followers, followed)]
    await followed
    const seconds = (performance.now() - startedAt) / 1000
    peaks.push(peakMegabytesOf(server.pid))
    const violations = await verdict(executions, followers)
    const total = (of: (follower: Follower) => number) => followers.reduce((sum, follower) => sum + of(follower), 0)
    const told = total(({ events }) => events.length)
    say(
      `${executions.length} executions of ${STEPS} steps (20 to ${slowestStepMs(n)} ms each) of ${TENANTS} tenants, ${n} readers`,
    )
    say(`each hung up ${HANG_UPS} times; the server was killed once in between`)
    say(
      `events told: ${told} in ${seconds.toFixed(1)} s; to each reader: ${spreadOf(
        followers.map(({ events }) => events.length),
        0,
      )}`,
    )
    say(
      `streams opened: ${total(({ connections }) => connections)}, of them again: ${total(({ connections }) => connections - 1)}`,
    )
    say(`times nobody was there, or a reader was asked to come later: ${total(({ refusals }) => refusals)}`)
    say(`peak memory of the server before and after its restart: ${peaks.join(' MB, ')} MB`)
    return violations
  } finally {
    await server.close()
    model.close()
  }
}

async function beginAll(callers: readonly Caller[], chance: Chance, slowestMs: number): Promise<Followed[]> {
  const executions: Followed[] = []
  for (const caller of callers) {
    for (let index = 0; index < EXECUTIONS_OF_EACH; index += 1) {
      const definition = planOfSteps(`work-${executions.length}`, randomSteps(chance, STEPS, 20, slowestMs))
      const { id } = await caller.begun('/dags/execute-definition', { definition, title: 'work' })
      executions.push({ caller, executionId: id })
    }
  }
  return executions
}

/** Hangs up after random numbers of events, all of them before the execution can have ended. */
function followerOf({ caller, executionId }: Followed, chance: Chance): Follower {
  const numbers = Array.from({ length: STEPS * 2 - 1 }, (_, index) => index + 1)
  return new Follower({
    caller,
    executionId,
    hangUpAt: chance.some(numbers, HANG_UPS).toSorted((a, b) => a - b),
    pauseMs: () => chance.whole(0, 200),
    saysAfter: () => chance.share() < 0.3,
  })
}

/** @returns the memory the killed server had held at most, in MB */
async function killInTheMiddle(
  server: ProofServer,
  followers: readonly Follower[],
  followed: Promise<unknown>,
): Promise<number> {
  let isOver = false
  const end = () => {
    isOver = true
  }
  followed.then(end, end)
  const middle = followers.length * STEPS
  while (!isOver && followers.reduce((sum, { last }) => sum + last, 0) < middle) await pause(20)
  const peak = peakMegabytesOf(server.pid)
  await server.kill()
  await server.start()
  return peak
}

async function verdict(executions: readonly Followed[], followers: readonly Follower[]): Promise<string[]> {
  const violations: string[] = []
  for (const [index, { caller, executionId }] of executions.entries()) {
    const log: LoggedEvent[] = await caller.all(`/executions/${executionId}/events`)
    violations.push(...faultsInLog(log).map((fault) => `execution ${index}: ${fault}`))
    for (const [number, follower] of followers.entries()) {
      if (number % executions.length !== index) continue
      const { connections, problems, events } = follower
      const status = await follower.askAgain()
      if (status !== 204) violations.push(`reader ${number}, who has it all, was answered ${status}`)
      if (connections < HANG_UPS + 1) violations.push(`reader ${number} came back only ${connections - 1} times`)
      const faults = [...problems, ...faultsInSeen(events, log)]
      violations.push(...faults.map((fault) => `reader ${number} of execution ${index}: ${fault}`))
    }
  }
  return violations
}
