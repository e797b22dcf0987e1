import { eachAtOnce } from './at-once.ts'
import type { Caller } from './caller.ts'
import type { LoggedEvent } from './event-log.ts'
import { countsOf } from './figures.ts'
import { Follower } from './follower.ts'
import { pause } from './pause.ts'
import type { Proof } from './proof.ts'
import { ProofServer } from './proof-server.ts'
import { type HeldCall, scriptedModel } from './scripted-model.ts'
import { chainOfSteps, planOfSteps } from './step-sketches.ts'

const PLACES = 20
const STEP_MS = 200
const STEPS = 10
const SUBMITTED_AT_ONCE = 10
/** How often the tenant with a single execution comes. */
const SINGLES = 10
/** Beyond the step it may have to wait for: what a busy machine needs to take a POST and to begin. */
const SLACK_MS = 150
const SHARED_MS = 8_000
/** Of three tenants that always have work waiting, none gets less than this share of a third. */
const LEAST_OF_FAIR_SHARE = 0.75

/** A tenant with thousands of executions delays another's single one by no more than one running step. */
export const proveFairness: Proof = async ({ n, seed: _, durable, say }) => {
  const model = await scriptedModel()
  const server = await ProofServer.open({
    ...model.env,
    SQLITE_SYNCHRONOUS: durable,
    MAX_CONCURRENT_EXECUTIONS: String(PLACES),
    MAX_CONCURRENT_EXECUTIONS_PER_TENANT: String(PLACES),
  })
  try {
    const [many, single] = [server.acme(), await server.tenant('single')]
    say(
      `${PLACES} places in all and for each tenant; every step takes ${STEP_MS} ms, every execution has ${STEPS} in a chain`,
    )
    const alone = await runSingle(single, 'alone')
    await single.get('/agents') // its database is open
    const startedAt = performance.now()
    await submit(many, 'many', n)
    say(`one tenant has submitted ${n} in ${((performance.now() - startedAt) / 1000).toFixed(1)} s`)
    const waits = []
    for (let time = 0; time < SINGLES; time += 1) {
      waits.push(await runSingle(single, `single-${time}`, many))
      await pause(137) // so that it comes at another moment of their steps
    }
    say(`of them still waiting: ${await countOf(many, 'pending')}`)
    say(
      `another tenant's single execution waited, ms: alone ${alone.waitMs}; beside them ${waits.map(({ waitMs }) => waitMs).join(', ')}`,
    )
    say(
      `the longest step that was running then took, ms: ${waits.map(({ longestStepMs }) => longestStepMs).join(', ')}`,
    )
    return [...faultsInWaits(waits, SLACK_MS), ...(await share(server, model.held, say))]
  } finally {
    await server.close()
    model.close()
  }
}

export interface Wait {
  /** From the POST to the event of its first task. */
  waitMs: number
  /** Of the steps of others that were running when it was sent. */
  longestStepMs: number
}

export function faultsInWaits(waits: readonly Wait[], slackMs: number): string[] {
  return waits
    .filter(({ waitMs, longestStepMs }) => !(waitMs <= longestStepMs + slackMs)) // also what cannot be read
    .map(({ waitMs, longestStepMs }) => `one waited ${waitMs} ms, while no step took longer than ${longestStepMs} ms`)
}

function definitionOf(name: string) {
  return { definition: planOfSteps(name, chainOfSteps(STEPS, STEP_MS)), title: name }
}

async function submit(caller: Caller, tenant: string, count: number): Promise<void> {
  const numbers = Array.from({ length: count }, (_, index) => index)
  await eachAtOnce(numbers, SUBMITTED_AT_ONCE, async (number) => {
    await caller.begun('/dags/execute-definition', definitionOf(`${tenant}-${number}`))
  })
}

async function countOf(caller: Caller, status: string): Promise<number> {
  return (await caller.got(`/executions?status=${status}&limit=1&includeTotal=true`)).pagination.total
}

/** @param others  whose running steps it may have to wait for */
async function runSingle(caller: Caller, name: string, others?: Caller): Promise<Wait> {
  const running = others ? await others.all('/executions?status=running') : []
  const sentAt = Date.now()
  const { id } = await caller.begun('/dags/execute-definition', definitionOf(name))
  const follower = new Follower({ caller, executionId: id })
  await follower.follow()
  const log = follower.events.map(({ data }): LoggedEvent => JSON.parse(data))
  const beganAt = Date.parse(log.find(({ type }) => type === 'execution:task_started')?.ts ?? '')
  let longestStepMs = 0
  for (const { id } of running) {
    const { data } = (await others?.got(`/executions/${id}/sub-steps`)) ?? { data: [] }
    for (const { startedAt, durationMs } of data) {
      const isMeant =
        durationMs !== null && Date.parse(startedAt) <= beganAt && Date.parse(startedAt) + durationMs >= sentAt
      if (isMeant) longestStepMs = Math.max(longestStepMs, durationMs)
    }
  }
  return { waitMs: beganAt - sentAt, longestStepMs }
}

/** Three tenants that always have work waiting: each gets its third. */
async function share(server: ProofServer, held: readonly HeldCall[], say: (line: string) => void): Promise<string[]> {
  const newcomers = ['second', 'third']
  const enough = Math.ceil((SHARED_MS / STEP_MS / STEPS) * PLACES)
  const submitNew = async (name: string) => submit(await server.tenant(name), name, enough)
  await Promise.all(newcomers.map(submitNew))
  await pause(1_000)
  const before = held.length
  await pause(SHARED_MS)
  const steps = held.slice(before).map(({ name }) => name.split('-')[0] ?? '')
  say(`three tenants with work waiting, steps done in ${SHARED_MS / 1000} s: ${countsOf(steps)}`)
  return faultsInShares(steps, ['many', ...newcomers])
}

/** @param steps  for each step that was done, whose it was */
export function faultsInShares(steps: readonly string[], tenants: readonly string[]): string[] {
  const fair = steps.length / tenants.length
  const done = tenants.map((tenant) => ({ tenant, count: steps.filter((name) => name === tenant).length }))
  return done
    .filter(({ count }) => count === 0 || count < fair * LEAST_OF_FAIR_SHARE)
    .map(({ tenant, count }) => `${tenant} got ${count} steps, a fair share is ${fair.toFixed(0)}`)
}
