import { get, type IncomingMessage } from 'node:http'
import { CLOSING_EVENTS } from '#desiagent/events.ts'
import type { Caller } from './caller.ts'
import { pause } from './pause.ts'

export interface SeenEvent {
  id: number
  type: string
  /** As it came. */
  data: string
}

export interface FollowerOptions {
  caller: Caller
  executionId: string
  /** Hangs up, and comes back, each time it has seen so many events. Ascending. */
  hangUpAt?: readonly number[]
  /** Before it comes back. */
  pauseMs?: () => number
  /** Comes back with `?after=` instead of `Last-Event-ID`. */
  saysAfter?: () => boolean
  onEvent?: (event: SeenEvent) => void
}

/** A server that says nothing for longer than this, not even its heartbeat of every 15 s, has forgotten the reader. */
const LONGEST_SILENCE_MS = 40_000
/** A stream whose closing event has come has nothing more to say. */
const LONGEST_GOODBYE_MS = 10_000

/**
 * A client that follows an execution's stream to its closing event: it hangs up when it pleases, and comes back with
 * the last event it has, also when the server went away. It believes nothing: what comes is kept as it came.
 */
export class Follower {
  /** In the order of coming. */
  readonly events: SeenEvent[] = []
  readonly problems: string[] = []
  /** Streams it was given. */
  connections = 0
  /** Times nobody was there, or it was asked to come later. */
  refusals = 0
  readonly #options: FollowerOptions
  #hangUps: number[]
  #isClosing = false

  constructor(options: FollowerOptions) {
    this.#options = options
    this.#hangUps = [...(options.hangUpAt ?? [])]
  }

  /** The number of the last event it has. */
  get last(): number {
    return this.events.at(-1)?.id ?? 0
  }

  /** Resolves when the stream has closed behind its closing event. Can be called again when the execution goes on. */
  async follow(): Promise<void> {
    this.#isClosing = false
    for (let isFirst = true; !this.#isClosing; isFirst = false) {
      if (!isFirst) await pause(this.#options.pauseMs?.() ?? 0)
      const status = await this.#connect().catch(() => null)
      if (status === 200) {
        this.connections += 1
        continue
      }
      if (status === 204) return this.#checkNothingMissing()
      if (status !== null && status !== 429 && status !== 503) {
        this.problems.push(`its stream was answered ${status}`)
        return
      }
      this.refusals += 1
      await pause(50)
    }
  }

  /** Comes back although it has it all. @returns the status, which should be 204 */
  async askAgain(): Promise<number> {
    const response = await this.#ask()
    response.destroy()
    return response.statusCode ?? 0
  }

  /** 204 says that all has been told. */
  #checkNothingMissing(): void {
    const { type = 'none' } = this.events.at(-1) ?? {}
    if (!isClosing(type)) this.problems.push(`was told that there is nothing more behind ${type}`)
  }

  /** @returns the status; of a stream, once it has ended @throws when nobody is there */
  async #connect(): Promise<number> {
    const response = await this.#ask()
    if (response.statusCode === 200) await this.#read(response)
    else response.resume()
    return response.statusCode ?? 0
  }

  #ask(): Promise<IncomingMessage> {
    const { caller, executionId, saysAfter } = this.#options
    const headers: Record<string, string> = { authorization: `Bearer ${caller.key}` }
    let url = `${caller.url}/api/v2/executions/${executionId}/events`
    if (this.last > 0 && saysAfter?.()) url += `?after=${this.last}`
    else if (this.last > 0) headers['last-event-id'] = String(this.last)
    return new Promise((resolve, reject) => {
      get(url, { agent: false, headers }, resolve).on('error', reject)
    })
  }

  /** Reads until the stream ends, the server dies, or it hangs up itself. */
  async #read(response: IncomingMessage): Promise<void> {
    let rest = ''
    let hasHungUp = false
    await new Promise<void>((resolve) => {
      const silence = setTimeout(() => {
        this.problems.push(`heard nothing for ${LONGEST_SILENCE_MS} ms`)
        response.destroy()
      }, LONGEST_SILENCE_MS)
      response.setEncoding('utf8').on('data', (chunk: string) => {
        silence.refresh()
        const blocks = (rest + chunk).split('\n\n')
        rest = blocks.pop() ?? ''
        for (const block of blocks) {
          hasHungUp = this.#take(block)
          if (hasHungUp) break // what came behind it was never seen
        }
        if (hasHungUp) response.destroy()
        else if (this.#isClosing) goodbye.refresh()
      })
      const goodbye = setTimeout(() => {
        if (!this.#isClosing) return
        this.problems.push(`its stream stayed open for ${LONGEST_GOODBYE_MS} ms behind its closing event`)
        response.destroy()
      }, LONGEST_GOODBYE_MS)
      response.on('error', () => {}) // it ends with `close` all the same
      response.once('close', () => {
        clearTimeout(silence)
        clearTimeout(goodbye)
        resolve()
      })
    })
  }

  /** @returns true when it hangs up after this event */
  #take(block: string): boolean {
    const fields = new Map(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    )
    const type = fields.get('event')
    if (type === undefined) return false // a heartbeat
    const event = { id: Number(fields.get('id')), type, data: fields.get('data') ?? '' }
    this.events.push(event)
    this.#options.onEvent?.(event)
    this.#isClosing = isClosing(type)
    const [next = Number.POSITIVE_INFINITY] = this.#hangUps
    if (this.events.length < next || this.#isClosing) return false
    this.#hangUps = this.#hangUps.slice(1)
    return true
  }
}

const CLOSING: ReadonlySet<string> = CLOSING_EVENTS
const isClosing = (type: string) => CLOSING.has(type)
