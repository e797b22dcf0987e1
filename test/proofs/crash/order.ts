import type { Answer, Caller } from '../caller.ts'
import type { LoggedEvent } from '../event-log.ts'
import { Follower, type SeenEvent } from '../follower.ts'
import { pause } from '../pause.ts'
import { planOfSteps, type StepSketch } from '../step-sketches.ts'

/** A result as a reader found it, and when. */
export interface SeenResult {
  atMs: number
  result: string
}

/**
 * One piece of work that a client wants done, whatever happens to the server: it repeats its POST with the same
 * `Idempotency-Key` until it is answered, follows the events, and looks at the results now and then.
 */
export class Order {
  readonly name: string
  readonly steps: readonly StepSketch[]
  readonly isPlanned: boolean
  readonly problems: string[] = []
  executionId: string | null = null
  isCompleted = false
  /** POSTs that were sent for it. */
  posts = 0
  /** Times it was parked for crashing again and again, and resumed by hand. */
  parked = 0
  /** When a task's end was told first, by event or in the details. */
  readonly completedAtMs = new Map<string, number>()
  readonly results = new Map<string, SeenResult>()
  #follower: Follower | null = null
  readonly #caller: Caller
  readonly #onPost: () => void

  constructor(name: string, steps: readonly StepSketch[], isPlanned: boolean, caller: Caller, onPost: () => void) {
    this.name = name
    this.steps = steps
    this.isPlanned = isPlanned
    this.#caller = caller
    this.#onPost = onPost
  }

  get streamed(): readonly SeenEvent[] {
    return this.#follower?.events ?? []
  }

  /** @param isRepeated  sends the POST once more after it was answered: the answer must be the same */
  async fulfil(isRepeated: boolean, lookEveryMs: () => number): Promise<void> {
    this.executionId = await this.#submit()
    if (this.executionId === null) return
    if (isRepeated && (await this.#submit()) !== this.executionId)
      this.problems.push('a repeat began another execution')
    const follower = new Follower({
      caller: this.#caller,
      executionId: this.executionId,
      onEvent: (event) => this.#note(event),
      pauseMs: () => 20,
    })
    this.#follower = follower
    const looking = this.#look(lookEveryMs)
    await follower.follow()
    while (follower.events.at(-1)?.type === 'execution:suspended' && (await this.#resume())) await follower.follow()
    this.problems.push(...follower.problems)
    this.isCompleted = follower.events.at(-1)?.type === 'execution:completed'
    if (!this.isCompleted) this.problems.push(`its stream ended with ${follower.events.at(-1)?.type}`)
    await looking
  }

  /** The log as it is at the end, page by page. */
  log(): Promise<LoggedEvent[]> {
    return this.#caller.all(`/executions/${this.executionId}/events`)
  }

  /** Repeats until somebody answers. @returns null when it is refused */
  async #submit(): Promise<string | null> {
    const plan = planOfSteps(this.name, this.steps)
    for (;;) {
      const sent = this.isPlanned
        ? this.#caller.post('/create-execute', { goalText: `Goal of ${this.name}.` }, this.name)
        : this.#caller.post('/dags/execute-definition', { definition: plan, title: this.name }, this.name)
      this.posts += 1
      this.#onPost()
      const answer = await sent.catch(() => null)
      if (answer?.status === 202) return answer.body.executionId ?? answer.body.id
      if (answer !== null && answer.status !== 409 && answer.status !== 503) {
        this.problems.push(`its POST was answered ${answer.status}: ${JSON.stringify(answer.body)}`)
        return null
      }
      await pause(answer === null ? 50 : 1_000)
    }
  }

  /** As a person would. @returns false when it is not to be resumed */
  async #resume(): Promise<boolean> {
    const { body } = await this.#insist(() => this.#caller.get(`/executions/${this.executionId}`))
    if (!body.suspendedReason?.startsWith('crashed_repeatedly')) {
      this.problems.push(`was suspended: ${body.suspendedReason}`)
      return false
    }
    this.parked += 1
    const { status } = await this.#insist(() => this.#caller.post(`/executions/${this.executionId}/resume`, {}))
    if (status !== 202 && status !== 409) this.problems.push(`its resume was answered ${status}`)
    return true
  }

  /** What is read as completed must never be read otherwise. */
  async #look(everyMs: () => number): Promise<void> {
    while (!this.isCompleted && this.problems.length === 0) {
      const answer = await this.#caller.get(`/executions/${this.executionId}/details`).catch(() => null)
      for (const { taskId, status, result } of answer?.body?.subSteps ?? []) {
        if (status === 'completed') this.#noteResult(taskId, String(result))
        else if (this.results.has(taskId)) this.problems.push(`task ${taskId} had completed and is ${status}`)
      }
      await pause(everyMs())
    }
  }

  #noteResult(taskId: string, result: string): void {
    const atMs = performance.now()
    if (!this.completedAtMs.has(taskId)) this.completedAtMs.set(taskId, atMs)
    const seen = this.results.get(taskId)
    if (!seen) this.results.set(taskId, { atMs, result })
    else if (seen.result !== result) this.problems.push(`the result of ${taskId} has changed`)
  }

  #note({ type, data }: SeenEvent): void {
    if (type !== 'execution:task_completed') return
    const { taskId } = JSON.parse(data).data
    if (!this.completedAtMs.has(taskId)) this.completedAtMs.set(taskId, performance.now())
  }

  async #insist(ask: () => Promise<Answer>): Promise<Answer> {
    for (;;) {
      const answer = await ask().catch(() => null)
      if (answer) return answer
      await pause(50)
    }
  }
}
