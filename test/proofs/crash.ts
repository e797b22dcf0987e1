import type { Caller } from './caller.ts'
import { Chance } from './chance.ts'
import { Killer } from './crash/killer.ts'
import { NotedModel } from './crash/noted-model.ts'
import { Order } from './crash/order.ts'
import { type FinishedOrder, faultsOf } from './crash/verdict.ts'
import { countsOf, spreadOf } from './figures.ts'
import { pause, within } from './pause.ts'
import type { Proof } from './proof.ts'
import { ProofServer } from './proof-server.ts'
import { randomSteps, type StepSketch } from './step-sketches.ts'

const GIVEN_AT_ONCE = 8
/** More, because a repeat has to wait until the claim of its dead forerunner has run out. */
const PLANNED_AT_ONCE = 16
const LONGEST_REST_MS = 180_000

/**
 * Clients have work done while the server is killed again and again: nothing is lost, nothing that was committed is
 * done twice or changes, and each event log is told once.
 */
export const proveCrashes: Proof = async ({ n, seed, durable, say }) => {
  const chance = new Chance(seed)
  const work = new Map<string, StepSketch[]>()
  const model = await NotedModel.open(
    (name) => work.get(name) ?? [],
    () => chance.whole(5, 150),
  )
  const server = await ProofServer.open({ ...model.env, SQLITE_SYNCHRONOUS: durable, RETRY_BASE_MS: '50' })
  try {
    const clients = new Clients(server.acme(), chance, work)
    const killer = new Killer(server, model, chance, () => clients.nextPost())
    const served = clients.run()
    await killer.run(n)
    clients.finish()
    const isServed = await within(LONGEST_REST_MS, 'the work that was left', served).then(
      () => [],
      (error: Error) => [error.message],
    )
    await pause(500) // whatever is still to come comes now
    const orders = await Promise.all(clients.orders.map((order) => finished(server.acme(), order)))
    sayFigures(say, killer, clients, model)
    const executions = await server.acme().all('/executions')
    const stuck = await server.acme().all('/dags?status=planning')
    for (const line of new Set(server.errors().map(withoutDetails))) say(`the log says: ${line}`)
    for (const line of new Set(server.warnings())) say(`the server warns: ${line}`)
    return [
      ...isServed,
      ...stuck.map(({ id }) => `DAG ${id} is still being planned`),
      ...faultsOf({ orders, executions, calls: model.calls, kills: killer.kills }),
    ]
  } finally {
    await server.close()
    model.close()
  }
}

/** Has so many orders going at any moment until it is told to finish. */
class Clients {
  readonly orders: Order[] = []
  readonly #caller: Caller
  readonly #chance: Chance
  readonly #work: Map<string, StepSketch[]>
  #isFinishing = false
  #waiting: (() => void)[] = []

  constructor(caller: Caller, chance: Chance, work: Map<string, StepSketch[]>) {
    this.#caller = caller
    this.#chance = chance
    this.#work = work
  }

  async run(): Promise<void> {
    const places = [
      ...Array.from({ length: GIVEN_AT_ONCE }, () => this.#serve(false)),
      ...Array.from({ length: PLANNED_AT_ONCE }, () => this.#serve(true)),
    ]
    await Promise.all(places)
  }

  /** Begins nothing more. */
  finish(): void {
    this.#isFinishing = true
  }

  nextPost(): Promise<void> {
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  async #serve(isPlanned: boolean): Promise<void> {
    const chance = this.#chance
    while (!this.#isFinishing) {
      const name = `work-${this.orders.length}`
      const steps = randomSteps(chance, chance.whole(1, 12), 10, 300)
      this.#work.set(name, steps)
      const order = new Order(name, steps, isPlanned, this.#caller, () => this.#tellOfPost())
      this.orders.push(order)
      await order.fulfil(chance.share() < 0.2, () => chance.whole(50, 300))
    }
  }

  #tellOfPost(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const tell of waiting) tell()
  }
}

async function finished(caller: Caller, order: Order): Promise<FinishedOrder> {
  const { name, executionId, problems, completedAtMs, results, streamed } = order
  const isKnown = executionId !== null
  const log = isKnown ? await order.log() : []
  const details = isKnown ? await caller.got(`/executions/${executionId}/details`) : null
  return { name, executionId, problems, completedAtMs, results, streamed, log, details }
}

function sayFigures(say: (line: string) => void, killer: Killer, { orders }: Clients, { calls }: NotedModel): void {
  const sum = (of: (order: Order) => number) => orders.reduce((total, order) => total + of(order), 0)
  const distinct = new Set(calls.map(({ key }) => key)).size
  say(`kills: ${killer.kills.length} (${countsOf(killer.kills.map(({ point }) => point))})`)
  say(`from spawn to listening, ms: ${spreadOf(killer.startMs, 0)}`)
  say(`executions: ${orders.length}, of them planned ${orders.filter(({ isPlanned }) => isPlanned).length}`)
  say(`POSTs sent for them: ${sum(({ posts }) => posts)}`)
  say(`sub-steps: ${sum(({ steps }) => steps.length)}`)
  say(`results read before the end, and read again: ${sum(({ results }) => results.size)}`)
  say(`events told: ${sum(({ streamed }) => streamed.length)}`)
  say(`calls of the model: ${calls.length}, of them repeated after a kill: ${calls.length - distinct}`)
  say(`parked as crashed_repeatedly and resumed by hand: ${sum(({ parked }) => parked)}`)
}

/** What errors have in common. */
function withoutDetails(line: string): string {
  const { msg, err } = JSON.parse(line)
  return `${msg}: ${err?.message ?? ''}`
}
