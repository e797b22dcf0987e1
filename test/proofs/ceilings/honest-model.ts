import { listenAsOpenAi, type ModelCall, type OpenAiServer, type Reply } from '#test/support/openai-server.ts'
import type { Chance } from '../chance.ts'
import { pause } from '../pause.ts'
import { planOfSteps, readPrompt } from '../step-sketches.ts'
import type { Case } from './case.ts'

/** What a case has really used, whoever was told of it. */
export interface Truth {
  calls: number
  tokens: number
  /** Not rounded. */
  costUsdMicros: number
}

/** What a provider gives when nobody bounds the answer. */
const LONGEST_ANSWER_TOKENS = 16_384
/** Of each message, beside its text. */
const MOST_FRAMING_TOKENS = 8

type Fate = 'answered' | 'limited' | 'failed' | 'cut' | 'garbage' | 'slow'

/**
 * A provider that counts honestly: each text by its bytes, an answer as long as it was made, also when the connection
 * broke or nobody waited for it. It keeps to the bound of a call, and fails now and then.
 */
export class HonestModel {
  readonly env: OpenAiServer['env']
  readonly #truths = new Map<string, Truth>()
  readonly #chance: Chance
  readonly #slowMs: number
  readonly #cases: ReadonlyMap<string, Case>
  /** Names of those whose calls do not fail any more. */
  readonly #calm = new Set<string>()
  readonly #server: Awaited<ReturnType<typeof listenAsOpenAi>>

  private constructor(
    server: Awaited<ReturnType<typeof listenAsOpenAi>>,
    cases: ReadonlyMap<string, Case>,
    chance: Chance,
    slowMs: number,
  ) {
    this.#server = server
    this.#cases = cases
    this.#chance = chance
    this.#slowMs = slowMs
    this.env = server.env
  }

  /** @param slowMs  longer than anybody waits */
  static async open(cases: ReadonlyMap<string, Case>, chance: Chance, slowMs: number): Promise<HonestModel> {
    const server = await listenAsOpenAi((call) => {
      server.calls.length = 0 // they are long, and nobody reads them
      return model.#reply(call)
    })
    const model: HonestModel = new HonestModel(server, cases, chance, slowMs)
    return model
  }

  truthOf(name: string): Truth {
    return this.#truths.get(name) ?? { calls: 0, tokens: 0, costUsdMicros: 0 }
  }

  /** From now on the calls for this case succeed. */
  calmDown(name: string): void {
    this.#calm.add(name)
  }

  close(): void {
    this.#server.close()
  }

  async #reply(call: ModelCall): Promise<Reply> {
    const [name = ''] = /work-\d+/.exec(call.messages.join('\n')) ?? []
    const sketch = this.#cases.get(name)
    if (!sketch) return { status: 400 }
    const fate = this.#calm.has(name) ? 'answered' : this.#fate()
    if (fate === 'limited') return { status: 429, headers: { 'retry-after-ms': '1' } }
    if (fate === 'failed') return { status: 500 }

    const bytes = bytesOf(call)
    const promptTokens =
      tokensIn(bytes, sketch) + (call.messages.length + 1) * this.#chance.whole(0, MOST_FRAMING_TOKENS)
    const { text, completionTokens, isCutOff } = this.#answer(call, sketch)
    const cachedTokens = this.#chance.share() < 0.2 ? this.#chance.whole(0, promptTokens) : 0
    this.#count(sketch, promptTokens, cachedTokens, completionTokens)

    const step = readPrompt(call.messages[0] ?? '')
    if (step) await pause(step.delayMs)
    if (fate === 'slow') await pause(this.#slowMs)
    if (fate === 'cut') return 'cut!'
    if (fate === 'garbage') return 'garbage!'
    return {
      text,
      finishReason: isCutOff ? 'length' : 'stop',
      usage: { prompt_tokens: promptTokens, completion_tokens: completionTokens, cached_tokens: cachedTokens },
    }
  }

  #fate(): Fate {
    const share = this.#chance.share()
    if (share < 0.06) return 'limited'
    if (share < 0.12) return 'failed'
    if (share < 0.16) return 'cut'
    if (share < 0.18) return 'garbage'
    return share < 0.2 ? 'slow' : 'answered'
  }

  #answer(call: ModelCall, sketch: Case): { text: string; completionTokens: number; isCutOff: boolean } {
    const boundTokens = answerBoundOf(call)
    const whole = this.#wholeAnswer(call, sketch)
    const wholeTokens = tokensIn(Buffer.byteLength(whole), sketch)
    if (wholeTokens <= boundTokens) return { text: whole, completionTokens: wholeTokens, isCutOff: false }
    const text = firstBytes(whole, Math.floor(boundTokens * sketch.bytesPerToken))
    return { text, completionTokens: boundTokens, isCutOff: true }
  }

  #wholeAnswer({ task }: ModelCall, { name, steps, bytesPerToken }: Case): string {
    if (task === 'plan') {
      const isSpoilt = !this.#calm.has(name) && this.#chance.share() < 0.1
      return isSpoilt ? 'I would rather talk.' : JSON.stringify(planOfSteps(name, steps))
    }
    if (task === 'title') return 'A title'
    return filler(Math.ceil(this.#chance.spread(1, 5_000) * bytesPerToken))
  }

  #count({ name, model }: Case, promptTokens: number, cachedTokens: number, completionTokens: number): void {
    const { calls, tokens, costUsdMicros } = this.truthOf(name)
    const cost =
      (promptTokens - cachedTokens) * model.prompt + cachedTokens * model.cached + completionTokens * model.completion
    this.#truths.set(name, {
      calls: calls + 1,
      tokens: tokens + promptTokens + completionTokens,
      costUsdMicros: costUsdMicros + cost,
    })
  }
}

function answerBoundOf({ body }: ModelCall): number {
  return Number(body.max_tokens ?? body.max_completion_tokens ?? LONGEST_ANSWER_TOKENS)
}

/** Of all that a provider reads: the messages, and the shape the answer should have. */
function bytesOf({ system, messages, body }: ModelCall): number {
  const { response_format: format } = body as { response_format?: { json_schema?: { schema?: object } } }
  const shape = format?.json_schema?.schema ? JSON.stringify(format.json_schema.schema) : ''
  return [system, shape, ...messages].reduce((sum, text) => sum + Buffer.byteLength(text), 0)
}

function tokensIn(bytes: number, { bytesPerToken }: Case): number {
  return Math.max(1, Math.ceil(bytes / bytesPerToken))
}

/** Letters of one, two, three and four bytes. */
const WORDS = 'so it goes on, für 漢字 und 🙂 '

function filler(bytes: number): string {
  return firstBytes(WORDS.repeat(Math.ceil(bytes / Buffer.byteLength(WORDS))), bytes) || '.'
}

/** No more bytes than this, and no half letters. */
function firstBytes(text: string, bytes: number): string {
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString('utf8')
    .replace(/\uFFFD+$/, '')
}
