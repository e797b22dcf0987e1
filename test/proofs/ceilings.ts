import type { ExecutionLimits } from '#desiagent/limits.ts'
import { eachAtOnce } from './at-once.ts'
import type { Caller } from './caller.ts'
import { type Case, randomCase } from './ceilings/case.ts'
import { HonestModel } from './ceilings/honest-model.ts'
import { faultsInCeilings, type Told } from './ceilings/verdict.ts'
import { Chance } from './chance.ts'
import type { LoggedEvent } from './event-log.ts'
import { countsOf, spreadOf } from './figures.ts'
import { Follower } from './follower.ts'
import type { Proof } from './proof.ts'
import { ProofServer } from './proof-server.ts'
import { planOfSteps } from './step-sketches.ts'

const AT_ONCE = 16
const STEP_TIMEOUT_MS = 400
const SLOW_MS = 700
/** Of those that a limit has suspended, as many are resumed with more. */
const RESUMED_SHARE = 0.25

/** What became of the cases. */
class Tally {
  readonly lateMs: number
  readonly violations: string[] = []
  /** How each came to rest. */
  readonly ends: string[] = []
  readonly endsOfResumed: string[] = []
  /** How much of a limit was used, where it was the limit that ended the work. */
  readonly wallExcessMs: number[] = []
  calls = 0

  constructor(lateMs: number) {
    this.lateMs = lateMs
  }
}

/** Executions with random limits, while the model fails at random: none is ever passed, planning included. */
export const proveCeilings: Proof = async ({ n, seed, durable, lateMs, say }) => {
  const chance = new Chance(seed)
  const cases = Array.from({ length: n }, (_, index) => randomCase(chance, `work-${index}`))
  const model = await HonestModel.open(new Map(cases.map((each) => [each.name, each])), chance, SLOW_MS)
  const server = await ProofServer.open({
    ...model.env,
    SQLITE_SYNCHRONOUS: durable,
    STEP_TIMEOUT_MS: String(STEP_TIMEOUT_MS),
    RETRY_BASE_MS: '5',
  })
  const tally = new Tally(lateMs)
  try {
    await eachAtOnce(cases, AT_ONCE, (each) => runCase(server.acme(), each, model, tally, chance))
    sayFigures(say, cases, tally)
    for (const line of server.warnings()) say(`the server warns: ${line}`)
    return [...tally.violations, ...server.errors().map((line) => `the log says: ${line}`)]
  } finally {
    await server.close()
    model.close()
  }
}

async function runCase(caller: Caller, each: Case, model: HonestModel, tally: Tally, chance: Chance): Promise<void> {
  const { name, limits } = each
  const violate = (faults: readonly string[]) =>
    tally.violations.push(...faults.map((fault) => `${name} ${JSON.stringify(limits)}: ${fault}`))
  const executionId = await begin(caller, each, tally)
  if (executionId === null) {
    violate(faultsInCeilings(limits, model.truthOf(name), null, tally.lateMs))
    tally.calls += model.truthOf(name).calls
    return
  }
  const follower = new Follower({ caller, executionId })
  await follower.follow()
  const { told, end, isSuspended } = await look(caller, each, executionId, follower)
  violate([...follower.problems, ...faultsInCeilings(limits, model.truthOf(name), told, tally.lateMs)])
  tally.ends.push(end)
  if (limits.maxWallMs !== undefined) tally.wallExcessMs.push((told.limitsUsed?.wallMs ?? 0) - limits.maxWallMs)
  if (isSuspended && chance.share() < RESUMED_SHARE)
    violate(await resume(caller, each, model, executionId, follower, tally))
  tally.calls += model.truthOf(name).calls
}

/** @returns null when there was nothing to execute */
async function begin(
  caller: Caller,
  { name, steps, isPlanned, model, limits }: Case,
  tally: Tally,
): Promise<string | null> {
  const choice = { provider: 'openai', model: model.name, limits }
  const { status, body } = isPlanned
    ? await caller.post('/create-execute', { goalText: `Goal of ${name}.`, ...choice })
    : await caller.post('/dags/execute-definition', { definition: planOfSteps(name, steps), title: name, ...choice })
  if (status === 202) return body.executionId ?? body.id
  const limit = body.code === 'limit_reached' ? ` by ${body.details.limit}` : ''
  if (isPlanned && (status === 422 || status === 502)) tally.ends.push(`not planned (${body.code}${limit})`)
  else tally.violations.push(`${name} was answered ${status}: ${JSON.stringify(body)}`)
  return null
}

async function look(caller: Caller, { isPlanned }: Case, executionId: string, follower: Follower) {
  const execution = await caller.got(`/executions/${executionId}`)
  const { planning, execution: running, totals } = await caller.got(`/costs/executions/${executionId}`)
  const tokens = running.usage.totalTokens + (isPlanned ? planning.usage.totalTokens : 0)
  const costUsdMicros = isPlanned ? totals.grandTotalCostUsdMicros : totals.executionCostUsdMicros
  const log = follower.events.map(({ data }): LoggedEvent => JSON.parse(data))
  const told: Told = {
    limitsUsed: execution.limitsUsed,
    cost: { tokens, costUsdMicros },
    tasksStarted: log.filter(({ type }) => type === 'execution:task_started').length,
    eventsMs: Date.parse(log.at(-1)?.ts ?? '') - Date.parse(log[0]?.ts ?? ''),
  }
  const end =
    execution.status === 'suspended' ? `suspended by ${reasonOf(execution.suspendedReason)}` : execution.status
  return { told, end, isSuspended: execution.status === 'suspended' }
}

/** The limit, or whatever it was. */
function reasonOf(suspendedReason: string): string {
  const [, limit] = /^limit_reached: The limit (\w+)/.exec(suspendedReason) ?? []
  if (limit) return limit
  return suspendedReason.startsWith('limit_reached')
    ? 'too few tokens for a whole answer'
    : `${suspendedReason.split(':')[0]}`
}

/** With a thousand times as much of each, as a person would, and without failures from now on: it completes. */
async function resume(
  caller: Caller,
  each: Case,
  model: HonestModel,
  executionId: string,
  follower: Follower,
  tally: Tally,
): Promise<string[]> {
  model.calmDown(each.name)
  const limits: ExecutionLimits = Object.fromEntries(
    Object.entries(each.limits).map(([limit, value = 0]) => [limit, value * 1_000]),
  )
  await caller.begun(`/executions/${executionId}/resume`, { limits })
  await follower.follow()
  const { told, end } = await look(caller, each, executionId, follower)
  tally.endsOfResumed.push(end)
  const resumed = { ...told, tasksStarted: null, eventsMs: null }
  const faults = faultsInCeilings(limits, model.truthOf(each.name), resumed, tally.lateMs)
  return [...faults, ...(end === 'completed' ? [] : [`resumed with more it is ${end}`])]
}

function sayFigures(
  say: (line: string) => void,
  cases: readonly Case[],
  { ends, endsOfResumed, wallExcessMs, calls }: Tally,
): void {
  const limits = cases.flatMap((each) => Object.keys(each.limits))
  say(
    `cases: ${cases.length}, of them planned ${cases.filter(({ isPlanned }) => isPlanned).length}; limits: ${countsOf(limits)}`,
  )
  say(`calls that the model has counted: ${calls}`)
  say(`came to rest as: ${countsOf(ends)}`)
  say(`resumed with a thousand times as much: ${countsOf(endsOfResumed)}`)
  const passed = wallExcessMs.filter((ms) => ms > 0)
  say(`ms beyond maxWallMs until it rested, of ${passed.length} it had stopped: ${spreadOf(passed, 0)}`)
}
