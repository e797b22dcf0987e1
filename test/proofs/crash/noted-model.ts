import { listenAsOpenAi, type ModelCall, type OpenAiServer } from '#test/support/openai-server.ts'
import { pause } from '../pause.ts'
import { planOfSteps, readPrompt, type StepSketch } from '../step-sketches.ts'

export interface NotedCall {
  key: string
  task: ModelCall['task']
  beganAtMs: number
  /** Null: it was never answered. */
  answeredAtMs: number | null
  text: string
}

type Moment = 'begun' | 'answered'

/** A model that gives no answer twice, and notes each call and each answer under its idempotency key. */
export class NotedModel {
  readonly calls: NotedCall[] = []
  readonly env: OpenAiServer['env']
  readonly #server: Awaited<ReturnType<typeof listenAsOpenAi>>
  #waiting: { task: ModelCall['task']; moment: Moment; tell: () => void }[] = []

  private constructor(server: Awaited<ReturnType<typeof listenAsOpenAi>>) {
    this.#server = server
    this.env = server.env
  }

  /** @param stepsOf  what the goal of this name is to be planned as */
  static async open(stepsOf: (name: string) => readonly StepSketch[], planMs: () => number): Promise<NotedModel> {
    const model: NotedModel = new NotedModel(
      await listenAsOpenAi(async (call) => {
        const noted = model.#begin(call)
        await pause(call.task === 'answer' ? (readPrompt(call.messages[0] ?? '')?.delayMs ?? 0) : planMs())
        noted.text =
          call.task === 'plan' ? planFor(call, stepsOf) : `Answer ${model.calls.indexOf(noted)} to ${noted.key}`
        noted.answeredAtMs = performance.now()
        setImmediate(() => model.#tell(call.task, 'answered')) // by then it has left
        return noted.text
      }),
    )
    return model
  }

  /** Resolves when the next call of this kind has begun, or was answered. */
  next(task: ModelCall['task'], moment: Moment): Promise<void> {
    return new Promise((tell) => this.#waiting.push({ task, moment, tell }))
  }

  close(): void {
    this.#server.close()
  }

  #begin(call: ModelCall): NotedCall {
    const { task, idempotencyKey: key = 'none' } = call
    const noted: NotedCall = { key, task, beganAtMs: performance.now(), answeredAtMs: null, text: '' }
    this.calls.push(noted)
    this.#tell(task, 'begun')
    return noted
  }

  #tell(task: ModelCall['task'], moment: Moment): void {
    const isMeant = (waiting: { task: string; moment: string }) => waiting.task === task && waiting.moment === moment
    for (const { tell } of this.#waiting.filter(isMeant)) tell()
    this.#waiting = this.#waiting.filter((waiting) => !isMeant(waiting))
  }
}

function planFor({ messages }: ModelCall, stepsOf: (name: string) => readonly StepSketch[]): string {
  const [, name = ''] = /Goal of (work-\d+)\./.exec(messages.join('\n')) ?? []
  return JSON.stringify(planOfSteps(name, stepsOf(name)))
}
