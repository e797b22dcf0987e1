import type { Chance } from '../chance.ts'
import { pause } from '../pause.ts'
import type { ProofServer } from '../proof-server.ts'
import type { NotedModel } from './noted-model.ts'

export const KILL_POINTS = ['plan', 'call', 'commit', 'submit', 'start', 'any'] as const
export type KillPoint = (typeof KILL_POINTS)[number]

export interface Kill {
  point: KillPoint
  /** From when on the process may have been dead. */
  fromMs: number
  /** From when on it was. */
  untilMs: number
}

/** A chosen moment that does not come is no reason to wait for ever. */
const LONGEST_WAIT_MS = 5_000
const TWICE = 2

/** Kills the server again and again, at chosen points and at any, and starts it again. */
export class Killer {
  readonly kills: Kill[] = []
  readonly startMs: number[] = []
  readonly #server: ProofServer
  readonly #model: NotedModel
  readonly #chance: Chance
  readonly #nextPost: () => Promise<void>

  /** @param nextPost  resolves when a client sends its next POST */
  constructor(server: ProofServer, model: NotedModel, chance: Chance, nextPost: () => Promise<void>) {
    this.#server = server
    this.#model = model
    this.#chance = chance
    this.#nextPost = nextPost
  }

  /** Leaves a server that runs. */
  async run(count: number): Promise<void> {
    let wishes: KillPoint[] = []
    while (this.kills.length < count) {
      await pause(this.#chance.whole(150, 900)) // so that something gets done in between
      if (wishes.length === 0) wishes = this.#chance.some(KILL_POINTS, KILL_POINTS.length)
      const wanted = wishes.pop() ?? 'any'
      const point = await this.#reach(wanted)
      await this.#kill(point)
      if (wanted === 'start') await this.#killAtStart()
      this.startMs.push(await this.#server.start())
    }
  }

  /** Waits for the moment. @returns where it really is */
  async #reach(point: KillPoint): Promise<KillPoint> {
    if (point === 'any' || point === 'start') {
      await pause(this.#chance.whole(0, 400))
      return 'any'
    }
    const late = pause(LONGEST_WAIT_MS).then(() => 'any' as const)
    const reached = await Promise.race([this.#moment(point).then(() => point), late])
    const mostMs = { plan: 20, call: 20, commit: 5, submit: 10, any: 0, start: 0 }[reached]
    const waitMs = this.#chance.whole(0, mostMs)
    if (waitMs > 0) await pause(waitMs)
    return reached
  }

  #moment(point: KillPoint): Promise<void> {
    if (point === 'submit') return this.#nextPost()
    if (point === 'plan') return this.#model.next('plan', 'begun')
    if (point === 'call') return this.#model.next('answer', 'begun')
    return this.#model.next(this.#chance.pick(['answer', 'answer', 'synthesis', 'plan'] as const), 'answered')
  }

  /** While the next process recovers, and while the one after that does. */
  async #killAtStart(): Promise<void> {
    for (let time = 0; time < TWICE; time += 1) {
      this.#server.spawn()
      await pause(this.#chance.whole(0, 700))
      await this.#kill('start')
    }
  }

  async #kill(point: KillPoint): Promise<void> {
    const fromMs = performance.now()
    const wasAlive = await this.#server.kill()
    if (wasAlive) this.kills.push({ point, fromMs, untilMs: performance.now() })
  }
}
